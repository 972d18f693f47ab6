//! Order of events by both times, and bytes of events.
use super::*;

fn event(kind: u32, exchange_ns: u64, local_ns: u64) -> Event {
    Event { kind, price: Price(1), quantity: Quantity(1), exchange_ns, local_ns }
}

/// Rows as number of the event, `exch_ts`, `local_ts` and the first letters of the flags.
fn ordered(mut events: Vec<Event>) -> Vec<(u32, u64, u64, &'static str)> {
    complete(&mut events);
    let shown = |(place, flags)| {
        let Event { exchange_ns, local_ns, .. } = events[place as usize];
        let flags = match flags {
            EXCHANGE => "e",
            LOCAL => "l",
            _ => "el",
        };
        (place, exchange_ns, local_ns, flags)
    };
    rows(&events).into_iter().map(shown).collect()
}

#[test]
fn a_trade_reported_late_is_earlier_at_the_exchange() {
    let events = vec![
        event(SNAPSHOT | BUY, 10, 20),
        event(DEPTH | BUY, 30, 40),
        event(TRADE | SELL, 30, 50),
        event(DEPTH | BUY, 60, 70),
    ];
    let expected = [
        (0, 10, 20, "el"),
        (1, 10, 20, "el"),
        (3, 30, 50, "e"),
        (2, 30, 40, "el"),
        (3, 30, 50, "l"),
        (4, 60, 70, "el"),
    ];
    assert_eq!(ordered(events), expected);
}

#[test]
fn changes_of_a_book_keep_their_order_and_no_event_is_received_before_it_happens() {
    // The snapshot has no time of the venue: that of receipt stands for it.
    let events = vec![
        event(SNAPSHOT | BUY, 100, 100),
        event(DEPTH | BUY, 90, 105),
        event(DEPTH | BUY, 120, 110),
        event(TRADE | BUY, 80, 115),
    ];
    let expected = [
        (0, 80, 100, "el"),
        (4, 80, 115, "e"),
        (1, 100, 100, "el"),
        (2, 100, 105, "el"),
        (3, 110, 110, "el"),
        (4, 80, 115, "l"),
    ];
    assert_eq!(ordered(events), expected);
    assert_eq!(ordered(Vec::new()), [(0, 0, 0, "el")]);
}

#[test]
fn an_event_is_parsed_as_it_was_written() {
    let one = Event { price: Price(420_000), ..event(CLEAR, 1 << 40, u64::MAX) };
    let mut bytes = Vec::new();
    one.push_to(&mut bytes);
    assert_eq!(Event::parse(bytes.as_slice().try_into().unwrap()), one);
}
