//! Arrivals of messages, and what waiting for them costs.
use super::*;
use crate::base::{limits::HEARTBEAT_INTERVAL_NS, random::Random};

/// What a shard took in virtual time.
#[derive(Debug, Default)]
struct Taken {
    cpu_ns: u64,
    elapsed_ns: u64,
    /// From arrival to the look that finds it, ascending.
    delays_ns: Vec<u64>,
}

impl Taken {
    fn cpu_percent(&self) -> f64 {
        100.0 * self.cpu_ns as f64 / self.elapsed_ns as f64
    }

    fn delay_ns(&self, percent: usize) -> u64 {
        self.delays_ns[(self.delays_ns.len() - 1) * percent / 100]
    }
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let delays = [40, 50, 80, 99].map(|percent| self.delay_ns(percent));
        write!(f, "{:.1} % of CPU, p40, p50, p80, p99 {delays:?} ns", self.cpu_percent())
    }
}

/// Of CPU time; so does a sleep, and its end comes late by what a wake-up costs.
const LOOK_NS: u64 = 1_000;
const MESSAGE_NS: u64 = 4_000;

/// Runs a shard with messages that come after these gaps. The first 200 are not measured.
fn run(policy: Idle, gaps_ns: impl IntoIterator<Item = u64>) -> Taken {
    run_on(Host { sleep_cpu_ns: SLEEP_CPU_NS, unmeasured: 200 }, policy, gaps_ns)
}

/// What a shard runs on.
struct Host {
    /// What a sleep and its wake-up truly cost.
    sleep_cpu_ns: u64,
    /// Messages before the measurement.
    unmeasured: usize,
}

fn run_on(host: Host, policy: Idle, gaps_ns: impl IntoIterator<Item = u64>) -> Taken {
    let mut pacer = Pacer::new(policy);
    let (mut taken, mut now_ns, mut arrival_ns, mut worked) = (Taken::default(), 0, 0, true);
    let (mut begun_ns, mut unmeasured_cpu_ns, mut heartbeat_ns) = (0, 0, 0);
    for (place, gap_ns) in gaps_ns.into_iter().enumerate() {
        if place == host.unmeasured {
            unmeasured_cpu_ns = taken.cpu_ns;
            (taken, begun_ns) = (Taken::default(), now_ns);
        }
        if now_ns >= heartbeat_ns {
            heartbeat_ns = now_ns + HEARTBEAT_INTERVAL_NS;
            pacer.observe_cpu(unmeasured_cpu_ns + taken.cpu_ns);
        }
        arrival_ns += gap_ns;
        while now_ns < arrival_ns {
            let timeout_ns = pacer.timeout_ns(worked, now_ns);
            worked = false;
            if timeout_ns == 0 {
                now_ns += LOOK_NS;
                taken.cpu_ns += LOOK_NS;
            } else {
                now_ns = arrival_ns.min(now_ns + timeout_ns) + WAKE_UP_COST_NS;
                taken.cpu_ns += host.sleep_cpu_ns;
            }
            if now_ns < arrival_ns {
                continue;
            }
        }
        taken.delays_ns.push(now_ns - arrival_ns);
        now_ns += MESSAGE_NS;
        taken.cpu_ns += MESSAGE_NS;
        worked = true;
    }
    taken.elapsed_ns = now_ns - begun_ns;
    taken.delays_ns.sort_unstable();
    taken
}

fn even(gap_ns: u64) -> Vec<u64> {
    vec![gap_ns; 20_000]
}

fn poisson(mean_ns: u64) -> Vec<u64> {
    let mut random = Random::new(7);
    let gap = |_| (-(1.0 - random.unit()).ln() * mean_ns as f64) as u64;
    (0..20_000).map(gap).collect()
}

fn bursts(len: usize, gap_ns: u64, silence_ns: u64) -> Vec<u64> {
    let gap = |place: usize| if place.is_multiple_of(len) { silence_ns } else { gap_ns };
    (0..20_000).map(gap).collect()
}

const HALF: Idle = Idle::Adaptive { cpu_percent: 50 };

#[test]
fn even_messages_are_awaited_within_the_cap() {
    let free = run(Idle::ADAPTIVE, even(100_000));
    assert!(free.delay_ns(99) <= LOOK_NS, "{free}");
    let half = run(HALF, even(100_000));
    assert!(half.cpu_percent() <= 51.0 && half.delay_ns(99) <= LOOK_NS, "{half}");
    let quarter = run(Idle::Adaptive { cpu_percent: 25 }, even(100_000));
    assert!(quarter.cpu_percent() <= 26.0 && quarter.delay_ns(90) <= LOOK_NS, "{quarter}");
    assert!(run(Idle::Park, even(100_000)).delay_ns(1) >= WAKE_UP_COST_NS);
}

#[test]
fn the_cap_holds_where_a_sleep_costs_three_times_as_much_as_assumed_or_a_third() {
    for sleep_cpu_ns in [SLEEP_CPU_NS / 3, SLEEP_CPU_NS, 3 * SLEEP_CPU_NS] {
        for gaps_ns in [even(100_000), poisson(100_000)] {
            let host = Host { sleep_cpu_ns, unmeasured: gaps_ns.len() };
            let taken = run_on(host, HALF, gaps_ns.repeat(3));
            let percent = taken.cpu_percent();
            assert!((48.0..=52.0).contains(&percent), "{sleep_cpu_ns} ns a sleep: {taken}");
        }
    }
}

#[test]
fn a_thread_that_others_keep_from_running_stays_below_the_cap() {
    let mut budget = Budget::new(50);
    budget.observe(0);
    for _ in 0..100 {
        budget.spend(10_000, true);
        budget.spend(90_000, false);
    }
    budget.observe(1_000_000);
    assert_eq!(budget.sleep_cpu_ns, SLEEP_CPU_NS / 2);
    assert_eq!(budget.allowance_ns(), 0);
}

#[test]
fn poisson_messages_are_caught_in_the_share_that_the_cap_allows() {
    let free = run(Idle::ADAPTIVE, poisson(100_000));
    assert!(free.delay_ns(80) <= LOOK_NS, "{free}");
    // Gaps without memory: of all messages no greater share can be caught than of the time is polled.
    let half = run(HALF, poisson(100_000));
    assert!(half.cpu_percent() <= 51.0, "{half}");
    assert!(half.delay_ns(40) <= 4 * LOOK_NS, "{half}");
}

#[test]
fn rare_messages_cost_what_they_cost_a_parked_shard() {
    for gaps in [even(1_000_000), poisson(1_000_000), even(300_000), even(10_000_000)] {
        let parked = run(Idle::Park, gaps.clone());
        for policy in [Idle::ADAPTIVE, HALF] {
            let adaptive = run(policy, gaps.clone());
            let bound = parked.cpu_ns * 11 / 10;
            assert!(adaptive.cpu_ns <= bound, "{policy}: {adaptive}; {parked}");
        }
    }
}

#[test]
fn a_burst_is_polled_and_the_silence_behind_it_is_not() {
    let parked = run(Idle::Park, bursts(20, 20_000, 10_000_000));
    let adaptive = run(Idle::ADAPTIVE, bursts(20, 20_000, 10_000_000));
    assert!(parked.delay_ns(50) >= WAKE_UP_COST_NS / 2, "{parked}");
    assert!(adaptive.delay_ns(80) <= LOOK_NS, "{adaptive}");
    // One poll of the longest kind for each burst, and the burst itself.
    assert!(adaptive.cpu_percent() <= 7.0, "{adaptive}");
}

#[test]
fn a_change_of_the_rate_is_noticed_within_some_dozens_of_messages() {
    let busy = || std::iter::repeat_n(100_000, 1_000);
    let quiet = || std::iter::repeat_n(1_000_000, 1_000);
    let taken = run(HALF, quiet().chain(busy()).chain(quiet()).chain(busy()));
    let late = taken.delays_ns.iter().filter(|&&delay_ns| delay_ns > LOOK_NS).count();
    assert!((1_800..1_900).contains(&late), "{late} of 3800 were not polled for");
}

#[test]
fn spin_never_sleeps_and_park_always() {
    assert_eq!(run(Idle::Spin, even(1_000_000)).delay_ns(100), 0);
    assert_eq!(run(Idle::Park, even(1_000_000)).delay_ns(0), WAKE_UP_COST_NS);
}
