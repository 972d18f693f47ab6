//! What the times of messages say of the host's clock: the clock alone, without books.
use super::*;

const MINUTE: u64 = 60_000;
/// The venue's time, Unix milliseconds.
const T: u64 = 1_786_000_000_000;
const DELAY: u64 = 20;

/// A message of a market at the venue's `venue_ms`, read by a host that is `offset_ms` off.
fn hear(clock: &mut VenueClock, connection: u32, market: u32, venue_ms: u64, offset_ms: i64) {
    let wall_ms = (venue_ms + DELAY).saturating_add_signed(offset_ms);
    clock.observe(ConnectionSlot(connection), venue_ms, wall_ms * MILLISECOND_NS, || market);
}

#[test]
fn the_difference_is_the_smallest_one_that_two_markets_support() {
    for offset_ms in [0, -3_000, -10_000, -600_000, -1_780_000_000_000, 600_000] {
        let mut clock = VenueClock::default();
        assert_eq!((clock.offset_ms(), clock.behind_ms()), (None, 0));
        for second in 0..30 {
            let late = [900, 0, 5_000][second as usize % 3];
            let sent_ms = T + second * 1_000 - late;
            hear(&mut clock, 0, second as u32 % 4, sent_ms, offset_ms + late as i64);
        }
        assert_eq!(clock.offset_ms(), Some(offset_ms + DELAY as i64));
        let behind_ms = (-offset_ms - DELAY as i64).max(0) as u64;
        assert_eq!(clock.behind_ms(), behind_ms, "{offset_ms}");
    }
}

#[test]
fn one_market_alone_moves_nothing_where_another_speaks() {
    for ahead_ms in [5_000, 600_000, 86_400_000] {
        let mut clock = VenueClock::default();
        for second in 0..30 {
            hear(&mut clock, 0, 1, T + second * 1_000, 0);
            hear(&mut clock, 0, 2, T + second * 1_000 + ahead_ms, -(ahead_ms as i64));
        }
        assert_eq!(clock.offset_ms(), Some(DELAY as i64), "{ahead_ms}");
    }
}

#[test]
fn times_in_other_units_are_no_evidence() {
    let mut clock = VenueClock::default();
    for venue_ms in [T * 1_000, T * 1_000_000, u64::MAX, 0, T / 1_000] {
        clock.observe(ConnectionSlot(0), venue_ms, T * MILLISECOND_NS, || 1);
        clock.observe(ConnectionSlot(0), venue_ms, T * MILLISECOND_NS, || 2);
        assert_eq!(clock.behind_ms(), 0, "{venue_ms}");
        assert!(!clock.has_come(T + MINUTE, T * MILLISECOND_NS));
    }
}

#[test]
fn half_of_the_connections_decide() {
    for (behind, of, offset_ms) in
        [(1, 2, 0), (1, 3, 0), (2, 3, -600_000), (2, 4, 0), (4, 4, -600_000)]
    {
        let mut clock = VenueClock::default();
        for connection in 0..of {
            let offset_ms = if connection < behind { -600_000 } else { 0 };
            for market in 0..3 {
                // The venue's time of the others is the host's.
                let venue_ms = T.saturating_add_signed(-offset_ms);
                hear(&mut clock, connection, 10 * connection + market, venue_ms, offset_ms);
            }
        }
        assert_eq!(clock.offset_ms(), Some(offset_ms + DELAY as i64), "{behind} of {of}");
    }
}

#[test]
fn a_connection_that_is_late_does_not_hide_that_the_host_is_behind() {
    let mut clock = VenueClock::default();
    for connection in 0..3 {
        for market in 0..2 {
            let late_ms = if connection == 0 { 30_000_u32 } else { 0 };
            let sent_ms = T - u64::from(late_ms);
            hear(&mut clock, connection, market, sent_ms, i64::from(late_ms) - 600_000);
        }
    }
    assert_eq!(clock.behind_ms(), 600_000 - DELAY);
}

#[test]
fn messages_that_are_late_do_not_make_what_is_new_look_early() {
    let mut clock = VenueClock::default();
    for second in 0..600 {
        hear(&mut clock, 0, second as u32 % 4, T + second * 1_000, 90_000);
    }
    let now_ms = T + 599_000 + DELAY + 90_000;
    assert!(clock.has_come(now_ms, now_ms * MILLISECOND_NS));
    assert!(!clock.has_come(now_ms + CLOCK_ERROR_MS + 1, now_ms * MILLISECOND_NS));
}

#[test]
fn a_clock_that_is_set_is_followed() {
    let mut clock = VenueClock::default();
    let mut at = T;
    let mut run = |clock: &mut VenueClock, seconds: u64, offset_ms: i64| {
        for _ in 0..seconds {
            at += 1_000;
            for connection in 0..2 {
                hear(clock, connection, 2 * connection + at as u32 / 1_000 % 2, at, offset_ms);
            }
        }
        clock.behind_ms()
    };
    assert_eq!(run(&mut clock, 60, 0), 0);
    // Set back: two messages on, it is known.
    assert_eq!(run(&mut clock, 2, -600_000), 600_000 - DELAY);
    assert_eq!(run(&mut clock, 300, -600_000), 600_000 - DELAY);
    // Set right: known once no window has the old difference.
    assert_eq!(run(&mut clock, 2 * CLOCK_WINDOW_MS as u64 / 1_000, 0), 0);
    assert_eq!(clock.offset_ms(), Some(DELAY as i64));
    // A night without messages: what was known is kept until the next.
    assert_eq!(run(&mut clock, 10, -600_000), 600_000 - DELAY);
    clock.turn(T as i64 + 40_000_000);
    assert_eq!(clock.behind_ms(), 600_000 - DELAY);
    assert_eq!(run(&mut clock, 2, -600_000), 600_000 - DELAY);
}

#[test]
fn a_recording_without_times_has_no_clock() {
    let mut clock = VenueClock::default();
    for market in 0..3 {
        clock.observe(ConnectionSlot(0), T, 0, || market);
    }
    assert_eq!(clock.offset_ms(), None);
    assert!(clock.has_come(T + 86_400_000, 0) && !clock.is_ahead(T + 86_400_000, 0));
}
