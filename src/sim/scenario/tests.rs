//! Rates and moments of actions.
use super::*;

fn config() -> SimConfig {
    SimConfig { rate: 2_000.0, markets: 100, ..SimConfig::default() }
}

#[test]
fn the_rate_is_kept_and_a_few_slots_are_hot() {
    let mut scenario = Scenario::new(&config());
    let (mut actions, mut by_slot) = (0u64, vec![0u64; 100]);
    let (mut at, mut most) = (0, 0);
    while at < 600_000 {
        at = scenario.peek_ms(600_000);
        for (slot, count) in scenario.take(at).unwrap_or_default().bursts {
            actions += u64::from(count);
            by_slot[slot] += u64::from(count);
            most = most.max(count);
        }
    }
    let expected = 2_000.0 * 600.0 / 1.04;
    let ratio = actions as f64 / expected;
    assert!((0.8..1.25).contains(&ratio), "{ratio} of the rate");
    by_slot.sort_unstable();
    assert!(by_slot[90..].iter().sum::<u64>() * 2 > actions, "ten slots get half of it");
    assert!(most >= 20, "the largest burst has {most}");
}

#[test]
fn moments_do_not_depend_on_how_far_one_looks() {
    let collect = |step: u64| {
        let mut scenario = Scenario::new(&config());
        let mut moments = Vec::new();
        let mut until = 0;
        while until < 3_000 {
            until += step;
            loop {
                let at = scenario.peek_ms(until.min(3_000));
                match scenario.take(at) {
                    Some(moment) => moments.push(moment),
                    None => break,
                }
            }
        }
        moments
    };
    assert_eq!(collect(1), collect(700));
}
