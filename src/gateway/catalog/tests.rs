//! Markets found by id and token, and listed in pages.
use super::*;
use crate::market::info::{Listing, Outcome};
use crate::venue::{kalshi, polymarket};

const VENUE: Venue = Venue::named("polymarket");
const OTHER: Venue = Venue::named("kalshi");

/// The markets of responses of Gamma, open.
pub(in crate::gateway) fn of_gamma(pages: &[&str]) -> Catalog {
    let pages = pages.iter().map(|page| polymarket::catalog::parse_page(page.as_bytes()).unwrap());
    open(VENUE, pages.flat_map(|page| page.markets))
}

/// The markets of responses of Kalshi, open.
pub(in crate::gateway) fn of_kalshi(pages: &[&str]) -> Catalog {
    let pages = pages.iter().map(|page| kalshi::catalog::parse_page(page.as_bytes()).unwrap());
    open(OTHER, pages.flat_map(|page| page.markets))
}

/// A file of recordings, where they are.
pub(in crate::gateway) fn recorded(file: &str) -> Option<String> {
    let beside = ["../shared/fixtures", "../../shared/fixtures"];
    let read = |folder| std::fs::read_to_string(format!("{folder}/{file}")).ok();
    let text = beside.into_iter().find_map(read);
    if text.is_none() {
        eprintln!("note: no recordings beside this clone; skipped");
    }
    text
}

fn open(venue: Venue, markets: impl Iterator<Item = MarketInfo>) -> Catalog {
    let mut catalog = Catalog::default();
    for info in markets {
        let event =
            MarketEvent { stage: MarketStage::Opened, info, resolution: None, is_repeated: false };
        catalog.on_event(venue, &event);
    }
    catalog
}

fn id(i: u64) -> MarketId {
    MarketId::new(&format!("0x{i}")).unwrap()
}

fn ids(numbers: &[u64]) -> Vec<MarketId> {
    numbers.iter().map(|&i| id(i)).collect()
}

/// A market of the event of its tens.
fn event(i: u64, stage: MarketStage) -> MarketEvent {
    let token = |k| TokenId::new(&format!("{}", 10 * i + k)).unwrap();
    let outcome = |(k, name): (u64, &str)| Outcome { token: token(k), name: name.into() };
    let of = EventListing { id: (i / 10).to_string(), ..EventListing::default() };
    let info = MarketInfo {
        market: id(i),
        tokens: [(1, "Yes"), (2, "No")].map(outcome).into(),
        slug: String::new(),
        question: String::new(),
        start_wall_ns: None,
        end_wall_ns: (!i.is_multiple_of(3)).then_some(1_000_000 - i),
        tick_size: None,
        min_order_size: None,
        neg_risk: false,
        listing: Some(Arc::new(Listing { event: Some(Arc::new(of)), ..Listing::default() })),
    };
    MarketEvent { stage, info, resolution: None, is_repeated: false }
}

fn with(numbers: std::ops::Range<u64>) -> Catalog {
    let mut catalog = Catalog::default();
    numbers.for_each(|i| catalog.on_event(VENUE, &event(i, MarketStage::Opened)));
    catalog
}

#[test]
fn markets_are_found_by_token_until_they_are_resolved_and_are_bounded() {
    let mut catalog = Catalog::default();
    let token = TokenId::new("12").unwrap();
    catalog.on_event(VENUE, &event(1, MarketStage::New));
    assert_eq!(catalog.outcome(&token), Some("No"));
    catalog.on_event(VENUE, &event(1, MarketStage::Ended));
    assert!(catalog.market_of(&token).is_some());
    catalog.on_event(VENUE, &event(1, MarketStage::Resolved));
    assert_eq!((catalog.market_of(&token), catalog.ended.len()), (None, 0));
    assert!(catalog.event(VENUE, "0").is_none());
    catalog.on_event(VENUE, &event(2, MarketStage::Ended));
    for i in 3..GATEWAY_MARKETS_MAX as u64 + 20 {
        catalog.on_event(VENUE, &event(i, MarketStage::New));
    }
    assert_eq!(catalog.markets.len(), GATEWAY_MARKETS_MAX);
    assert_eq!(catalog.tokens.len(), 2 * GATEWAY_MARKETS_MAX);
    assert!(catalog.market(&id(2)).is_none(), "ended, so it left");
    assert_eq!(catalog.lists[0].1.markets.len(), GATEWAY_MARKETS_MAX);
}

#[test]
fn pages_follow_each_other_without_gap_in_every_order() {
    let catalog = with(1..100);
    for (order, descending) in [
        (Order::Number, false),
        (Order::Number, true),
        (Order::Start, true),
        (Order::End, false),
        (Order::End, true),
    ] {
        let all = PageRequest { order, descending, limit: 1_000, ..PageRequest::default() };
        let whole = catalog.page(VENUE, &all, |listed| listed.number != 50);
        assert_eq!((whole.markets.len(), whole.next), (98, None), "{order:?}");
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let request = PageRequest { after, limit: 7, ..all };
            let page = catalog.page(VENUE, &request, |listed| listed.number != 50);
            pages.extend(page.markets);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(pages, whole.markets, "{order:?} {descending}");
        let skipped = PageRequest { skip: 95, limit: 2, ..all };
        let skipped = catalog.page(VENUE, &skipped, |listed| listed.number != 50);
        assert_eq!(skipped.markets, whole.markets[95..97]);
        assert!(skipped.next.is_some());
    }
    let ends = PageRequest { order: Order::End, limit: 2, ..PageRequest::default() };
    assert_eq!(catalog.page(VENUE, &ends, |_| true).markets, ids(&[98, 97]));
    assert_eq!(catalog.page(OTHER, &ends, |_| true), Page::default());
    let none = PageRequest { skip: 200, limit: 2, ..PageRequest::default() };
    assert_eq!(catalog.page(VENUE, &none, |_| true), Page::default());
}

#[test]
fn events_have_their_markets_until_the_last_one_leaves() {
    let mut catalog = with(10..30);
    let numbers: Vec<u64> = catalog.events(VENUE, 0).map(|(number, _)| number).collect();
    assert_eq!(numbers, [1, 11]);
    assert_eq!(catalog.events(VENUE, 1).count(), 1);
    assert_eq!(catalog.event(VENUE, "1").unwrap().markets, ids(&(10..20).collect::<Vec<_>>()));
    (10..20).for_each(|i| catalog.on_event(VENUE, &event(i, MarketStage::Resolved)));
    assert!(catalog.event(VENUE, "1").is_none());
    catalog.on_event(VENUE, &event(20, MarketStage::Ended));
    assert_eq!(catalog.event(VENUE, "2").unwrap().markets.len(), 10);
    catalog.on_event(VENUE, &event(10, MarketStage::Opened));
    let last = catalog.events(VENUE, 0).last().unwrap();
    assert_eq!((last.0, last.1.listing.id.as_str()), (21, "1"));
}
