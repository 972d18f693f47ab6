//! What a subscriber receives, and that it always holds a book that was true.
use super::*;
use crate::base::id::{MarketId, ShardId};
use crate::base::random::Random;
use crate::base::time::{Now, StillClock};
use crate::market::book::{Book, BookOpening, BookState, StaleReason};
use crate::ring::{Consumer, ring};
use crate::shard::books::{Admission, Books, ConnectionSlot};
use crate::shard::intake::{Findings, Intake};

const HERE: ConnectionSlot = ConnectionSlot(0);

struct Rig {
    intake: Intake<(), StillClock>,
    updates: Consumer<BookUpdate>,
    /// What a subscriber of token 11 holds, and its version.
    replica: Option<(Book, BookState, u64)>,
    /// Images that came after a loss.
    losses: usize,
    trades_lost: u64,
    received: Vec<String>,
}

impl Rig {
    fn new(depth: usize) -> Self {
        let feed = crate::venue::polymarket::feed(true);
        let mut books = Books::new(ShardId(0), feed, Admission::Listed, ());
        let (sender, updates) = ring(depth);
        books.store.set_update_sender(sender);
        let intake = Intake::new(feed, books, StillClock(0));
        Self { intake, updates, replica: None, losses: 0, trades_lost: 0, received: Vec::new() }
    }

    fn open(&mut self) {
        for token in ["11", "12"] {
            let opening = BookOpening {
                market: MarketId::new("0x1").unwrap(),
                token: TokenId::new(token).unwrap(),
                tick_size: None,
                min_order_size: None,
                neg_risk: false,
            };
            self.intake.books.open(&opening, HERE).unwrap();
        }
    }

    fn request(&mut self, request: UpdateRequest) {
        self.intake.books.store.on_update_request(request);
    }

    fn subscribe(&mut self) {
        let (token, key) = (TokenId::new("11").unwrap(), SubscriptionKey(7));
        self.request(UpdateRequest::Subscribe { token, key });
    }

    fn lend(&mut self, count: usize) {
        for _ in 0..count {
            self.request(UpdateRequest::Buffer(Box::default()));
        }
    }

    fn frame(&mut self, text: &str) {
        self.intake.on_frame(text, HERE, Now::default(), &mut Findings::default());
    }

    /// Takes at most `count` updates, as a subscriber does, and gives the buffers back.
    fn take(&mut self, count: usize) {
        self.intake.books.store.send_updates(4);
        for _ in 0..count {
            let Some(update) = self.updates.try_receive() else { return };
            if let BookUpdateKind::TradesLost(trades) = update.what {
                self.trades_lost += trades;
                continue;
            }
            assert_eq!(update.key, SubscriptionKey(7));
            match update.what {
                BookUpdateKind::Image { image, sibling, lost } => {
                    assert_eq!(sibling, TokenId::new("12"));
                    let mut book = Book::default();
                    book.replace(&image.bids, &image.asks).unwrap();
                    self.received.push(format!("image {}", image.state.name()));
                    let before = self.replica.as_ref().map_or(0, |(_, _, version)| *version);
                    assert!(update.version >= before, "{} after {before}", update.version);
                    self.replica = Some((book, image.state, update.version));
                    self.losses += usize::from(lost);
                    self.request(UpdateRequest::Buffer(image));
                }
                BookUpdateKind::Change(change) => {
                    let (book, _, version) = self.replica.as_mut().expect("an image comes first");
                    book.set(change.side, change.level).unwrap();
                    assert!(update.version >= *version, "{} after {version}", update.version);
                    *version = update.version;
                    self.received
                        .push(format!("change {} first {}", change.level.price, change.first));
                }
                BookUpdateKind::State(state) => {
                    self.replica.as_mut().expect("an image comes first").1 = state;
                    self.received.push(state.name().into());
                }
                BookUpdateKind::Closed => {
                    self.replica = None;
                    self.received.push("closed".into());
                }
                other => self
                    .received
                    .push(format!("{other:?}").split(['(', ' ']).next().unwrap().into()),
            }
        }
    }

    fn trades(&self) -> usize {
        self.received.iter().filter(|what| *what == "Trade").count()
    }

    /// Whether the subscriber holds the shard's book.
    fn agrees(&self) -> bool {
        let mut image = BookImage::default();
        assert!(self.intake.books.fill_image("11", &mut image));
        self.replica.as_ref().is_some_and(|(book, state, version)| {
            book.bids.levels().eq(image.bids.iter().copied())
                && book.asks.levels().eq(image.asks.iter().copied())
                && *state == image.state
                && *version == image.facts.updates
        })
    }
}

fn book(ms: u64, bid: &str) -> String {
    format!(
        r#"{{"market":"0x1","asset_id":"11","timestamp":"{ms}","event_type":"book","bids":[{{"price":"{bid}","size":"5"}}],"asks":[]}}"#
    )
}

fn changes(ms: u64, levels: &[(&str, u64)]) -> String {
    let one = |(price, size): &(&str, u64)| {
        format!(r#"{{"asset_id":"11","price":"{price}","size":"{size}","side":"BUY"}}"#)
    };
    let all: Vec<String> = levels.iter().map(one).collect();
    format!(
        r#"{{"market":"0x1","price_changes":[{}],"timestamp":"{ms}","event_type":"price_change"}}"#,
        all.join(",")
    )
}

const TRADE: &str = r#"{"market":"0x1","asset_id":"11","price":"0.4","size":"2","side":"BUY","timestamp":"3","event_type":"last_trade_price"}"#;

#[test]
fn an_image_comes_first_then_everything_in_order() {
    let mut rig = Rig::new(64);
    rig.lend(2);
    rig.subscribe();
    rig.take(9);
    assert!(rig.received.is_empty(), "there is no such book yet");
    rig.open();
    rig.take(9);
    rig.frame(&book(1, "0.4"));
    rig.frame(&changes(2, &[("0.3", 1), ("0.2", 1)]));
    rig.frame(TRADE);
    rig.take(9);
    rig.intake.books.set_all_stale(StaleReason::Disconnected, 5);
    rig.take(9);
    assert!(rig.agrees());
    rig.frame(&book(9, "0.5"));
    rig.take(9);
    assert!(rig.agrees());
    rig.intake.books.close(&TokenId::new("11").unwrap());
    rig.take(9);
    let received = [
        "image awaiting_snapshot",
        "image live",
        "change 0.3 first true",
        "change 0.2 first false",
        "Trade",
        "stale:disconnected",
        "image live",
        "awaiting_snapshot",
        "closed",
    ];
    assert_eq!(rig.received, received);
    rig.request(UpdateRequest::Unsubscribe { token: TokenId::new("11").unwrap() });
    rig.open();
    rig.take(9);
    assert_eq!(rig.received.len(), received.len(), "nobody receives any more");
}

#[test]
fn a_full_ring_marks_the_book_and_its_trades_wait() {
    let mut rig = Rig::new(2);
    rig.lend(1);
    rig.open();
    rig.subscribe();
    rig.take(1);
    rig.frame(&book(1, "0.4"));
    for i in 0..5 {
        rig.frame(&changes(2 + i, &[("0.3", 1 + i)]));
    }
    rig.frame(TRADE);
    rig.frame(TRADE);
    assert_eq!(rig.losses, 0);
    for _ in 0..6 {
        rig.take(1);
    }
    assert!(rig.agrees(), "{:?}", rig.received);
    assert_eq!((rig.losses, rig.trades()), (1, 2));
    rig.frame(&changes(20, &[("0.1", 1)]));
    rig.take(1);
    assert!(rig.agrees(), "changes go on after the image: {:?}", rig.received);
}

#[test]
fn trades_without_room_are_counted() {
    let mut rig = Rig::new(1);
    rig.lend(1);
    rig.open();
    rig.subscribe();
    rig.take(1);
    rig.frame(&book(1, "0.4"));
    for _ in 0..UPDATE_TRADES_MAX + 3 {
        rig.frame(TRADE);
    }
    for _ in 0..UPDATE_TRADES_MAX + 9 {
        rig.take(1);
    }
    assert_eq!((rig.trades(), rig.trades_lost), (UPDATE_TRADES_MAX, 3));
    assert!(rig.agrees());
}

#[test]
fn without_a_buffer_the_image_waits_for_one() {
    let mut rig = Rig::new(8);
    rig.open();
    rig.subscribe();
    rig.frame(&book(1, "0.4"));
    rig.take(9);
    assert!(rig.received.is_empty());
    rig.lend(1);
    rig.take(9);
    assert_eq!(rig.received, ["image live"]);
    assert_eq!(rig.losses, 0, "nothing was lost before the first image");
}

/// Rings of all sizes, frames and faults in any order, a subscriber that takes when it pleases: whenever it has taken
/// all, it holds the shard's book and has every trade; and its version never goes back.
#[test]
fn a_subscriber_always_ends_with_the_shards_book() {
    let mut random = Random::new(0x19);
    for _ in 0..200 {
        let mut rig = Rig::new(1 + random.below(6) as usize);
        rig.lend(1 + random.below(2) as usize);
        rig.open();
        rig.subscribe();
        let (mut ms, mut trades) = (1, 0);
        for _ in 0..60 {
            ms += random.below(2);
            let price = ["0.1", "0.2", "0.3", "0.4"][random.below(4) as usize];
            match random.below(12) {
                0 => rig.frame(&book(ms, price)),
                1 => {
                    rig.frame(TRADE);
                    trades += 1;
                }
                2 => drop(rig.intake.books.set_all_stale(StaleReason::Disconnected, ms)),
                3 => {
                    rig.intake.books.close(&TokenId::new("11").unwrap());
                    rig.open();
                    rig.take(100);
                    rig.take(100);
                }
                4..8 => {
                    rig.frame(&changes(ms, &[(price, random.below(3)), ("0.25", random.below(3))]))
                }
                _ => rig.take(random.below(4) as usize),
            }
        }
        for _ in 0..80 {
            rig.take(100);
        }
        assert!(rig.agrees(), "{:?}", rig.received);
        assert_eq!(rig.trades(), trades);
    }
}
