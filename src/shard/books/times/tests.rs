//! Books, tick sizes and snapshots whose times are in the wrong order or cannot be right.
use super::*;
use crate::base::id::{MarketId, ShardId, TokenId};
use crate::base::time::{MILLISECOND_NS, Now, StillClock};
use crate::market::book::{BookOpening, image::BookImage};
use crate::shard::books::{Admission, Books, ConnectionSlot};
use crate::shard::intake::{Findings, Intake};

const HERE: ConnectionSlot = ConnectionSlot(0);
const MARKET: &str = "0xabababababababababababababababababababababababababababababababab";
const TOKENS: [&str; 2] = ["1111111111", "2222222222"];
/// The venue's time of the first snapshots, Unix milliseconds.
const T: u64 = 1_786_000_000_000;
const HOUR: u64 = 3_600_000;

fn opening(token: &str) -> BookOpening {
    BookOpening {
        market: MarketId::new(MARKET).unwrap(),
        token: TokenId::new(token).unwrap(),
        tick_size: None,
        min_order_size: None,
        neg_risk: false,
    }
}

/// A pair of books whose host's clock is at `host_ms`.
struct Pair {
    intake: Intake<(), StillClock>,
    host_ms: u64,
}

impl Pair {
    fn new(host_ms: u64) -> Self {
        let mut books =
            Books::new(ShardId(0), crate::venue::polymarket::feed(true), Admission::Listed, ());
        for token in TOKENS {
            books.open(&opening(token), HERE).unwrap();
        }
        let mut pair = Self {
            intake: Intake::new(crate::venue::polymarket::feed(true), books, StillClock(0)),
            host_ms,
        };
        TOKENS.into_iter().for_each(|token| pair.book(token, T, "0.4"));
        pair
    }

    fn read(&mut self, frame: &str) {
        let now = Now { mono_ns: 1, wall_ns: self.host_ms * MILLISECOND_NS };
        self.intake.on_frame(frame, HERE, now, &mut Findings::default());
    }

    fn book(&mut self, token: &str, ms: u64, bid: &str) {
        self.read(&format!(
            r#"{{"market":"{MARKET}","asset_id":"{token}","timestamp":"{ms}","hash":"{}","bids":[{{"price":"{bid}","size":"5"}}],"asks":[{{"price":"0.6","size":"5"}}],"tick_size":"0.01","event_type":"book","last_trade_price":"0.5"}}"#,
            "0".repeat(40)
        ));
    }

    fn change(&mut self, ms: u64, bid: &str) {
        self.read(&format!(
            r#"{{"market":"{MARKET}","price_changes":[{{"asset_id":"{}","price":"{bid}","size":"7","side":"BUY","hash":"{}","best_bid":"{bid}","best_ask":"0.6"}}],"timestamp":"{ms}","event_type":"price_change"}}"#,
            TOKENS[0],
            "0".repeat(40)
        ));
    }

    fn tick(&mut self, ms: u64, old: &str, new: &str) {
        self.read(&format!(
            r#"{{"event_type":"tick_size_change","market":"{MARKET}","asset_id":"{}","old_tick_size":"{old}","new_tick_size":"{new}","timestamp":"{ms}"}}"#,
            TOKENS[0]
        ));
    }

    /// The first book: why it is stale, and its bids, the best last.
    fn first(&self) -> (Option<StaleReason>, Vec<String>) {
        let image = self.image();
        let why = match image.state {
            BookState::Stale { why, .. } => Some(why),
            state => {
                assert_eq!(state, BookState::Live);
                None
            }
        };
        (why, image.bids.iter().map(|level| level.price.to_string()).collect())
    }

    fn image(&self) -> BookImage {
        let mut image = BookImage::default();
        assert!(self.intake.books.fill_image(TOKENS[0], &mut image));
        image
    }
}

#[test]
fn a_snapshot_from_the_future_is_not_taken_and_its_book_is_stale() {
    for ahead_ms in [CLOCK_ERROR_MS + 1_001, HOUR, 24 * HOUR] {
        let mut pair = Pair::new(T + 1_000);
        pair.change(T + 500, "0.41");
        pair.book(TOKENS[0], T + ahead_ms, "0.3");
        let disagree = Some(StaleReason::TimesDisagree);
        assert_eq!(pair.first(), (disagree, vec!["0.4".into(), "0.41".into()]), "{ahead_ms}");
        assert_eq!(pair.intake.books.counts().snapshots_refused, 1);
    }
    // As far as a clock may err.
    let mut pair = Pair::new(T + 1_000);
    pair.book(TOKENS[0], T + 1_000 + CLOCK_ERROR_MS, "0.3");
    assert_eq!(pair.first(), (None, vec!["0.3".into()]));
}

#[test]
fn a_host_whose_clock_is_behind_has_its_books_all_the_same() {
    let mut pair = Pair::new(T - 7 * HOUR);
    assert_eq!(pair.first(), (None, vec!["0.4".into()]));
    pair.change(T + 90_000, "0.41");
    pair.book(TOKENS[0], T + 90_000, "0.42");
    assert_eq!(pair.first(), (None, vec!["0.42".into()]));
    // One that no other time supports is asked for over REST, which has it too.
    pair.book(TOKENS[0], T + HOUR, "0.43");
    assert!(pair.first().0.is_some());
    let index = pair.intake.books.find(TOKENS[0]).unwrap();
    let wall_ns = pair.host_ms * MILLISECOND_NS;
    let Books { times, store, .. } = &pair.intake.books;
    assert!(times.is_from_future(&store.slots, index, T + HOUR, wall_ns));
    let is_refused = |ms| times.is_answer_from_future(&store.slots, index, ms, wall_ns);
    assert!(!is_refused(T + HOUR) && is_refused(T + HOUR - 1));
}

#[test]
fn a_snapshot_that_nothing_confirms_does_not_hide_the_changes_behind_it() {
    let mut pair = Pair::new(T - HOUR);
    pair.change(T - HOUR + 100, "0.41");
    assert_eq!(pair.first().0, Some(StaleReason::TimesDisagree));
}

#[test]
fn an_older_book_does_not_roll_a_live_one_back() {
    for (older_ms, live) in [(1, true), (ORDER_ERROR_MS, true), (ORDER_ERROR_MS + 1, false)] {
        let mut pair = Pair::new(T + HOUR);
        pair.change(T + HOUR, "0.41");
        pair.book(TOKENS[0], T + HOUR - older_ms, "0.3");
        let (state, bids) = pair.first();
        assert_eq!(bids, ["0.4", "0.41"], "{older_ms}");
        assert_eq!(state.is_none(), live, "{older_ms}");
    }
}

/// Receipt in a recording with and without times.
const RECEIPTS: [u64; 2] = [T + HOUR, 0];

#[test]
fn an_older_book_does_not_roll_a_stale_one_back() {
    for host_ms in RECEIPTS {
        for older_ms in [0, 1, 500, ORDER_ERROR_MS + 501] {
            let mut pair = Pair::new(host_ms);
            pair.change(T + 500, "0.41");
            pair.intake.books.set_all_stale(StaleReason::Disconnected, 1);
            pair.book(TOKENS[0], T + 500 - older_ms, "0.3");
            let lost = (Some(StaleReason::Disconnected), vec!["0.4".into(), "0.41".into()]);
            let taken = (None, vec!["0.3".into()]);
            assert_eq!(pair.first(), if older_ms == 0 { taken } else { lost }, "{older_ms}");
            pair.book(TOKENS[0], T + 501, "0.42");
            assert_eq!(pair.first(), (None, vec!["0.42".into()]), "{older_ms}");
        }
    }
}

#[test]
fn an_older_book_that_comes_twice_does_not_roll_back() {
    for host_ms in RECEIPTS {
        let mut pair = Pair::new(host_ms);
        pair.change(T + ORDER_ERROR_MS + 1, "0.41");
        for _ in 0..3 {
            pair.book(TOKENS[0], T, "0.3");
            let disagree = Some(StaleReason::TimesDisagree);
            assert_eq!(pair.first(), (disagree, vec!["0.4".into(), "0.41".into()]), "{host_ms}");
        }
    }
}

#[test]
fn a_first_book_that_lacks_a_change_from_before_it_is_not_live() {
    for host_ms in RECEIPTS {
        let mut pair = Pair::new(host_ms);
        pair.intake.books.close(&TokenId::new(TOKENS[0]).unwrap());
        pair.intake.books.open(&opening(TOKENS[0]), HERE).unwrap();
        pair.change(T + 500, "0.41");
        pair.book(TOKENS[0], T + 499, "0.3");
        assert_eq!(pair.image().state, BookState::AwaitingSnapshot, "{host_ms}");
        pair.book(TOKENS[0], T + 500, "0.3");
        assert_eq!(pair.first(), (None, vec!["0.3".into()]), "{host_ms}");
    }
}

#[test]
fn a_book_whose_own_time_cannot_be_right_is_taken_again() {
    // With a clock that time has not come; without one the messages after it go on from each other.
    for host_ms in [T + 1_000, 0] {
        let mut pair = Pair::new(host_ms);
        pair.intake.books.close(&TokenId::new(TOKENS[0]).unwrap());
        pair.intake.books.close(&TokenId::new(TOKENS[1]).unwrap());
        for token in TOKENS {
            pair.intake.books.open(&opening(token), HERE).unwrap();
        }
        pair.book(TOKENS[0], T + HOUR, "0.4");
        pair.change(T + 100, "0.41");
        assert_eq!(pair.first().0, Some(StaleReason::TimesDisagree), "{host_ms}");
        pair.book(TOKENS[0], T + 200, "0.3");
        assert_eq!(pair.first(), (None, vec!["0.3".into()]), "{host_ms}");
    }
}

#[test]
fn an_older_tick_size_does_not_win() {
    let mut pair = Pair::new(T + HOUR);
    pair.tick(T + 2_000, "0.01", "0.001");
    pair.tick(T + 1_000, "0.001", "0.01");
    let image = pair.image();
    assert_eq!(image.facts.tick_size.unwrap().to_string(), "0.001");
    assert_eq!(image.state, BookState::Live);
    pair.tick(T + 3_000, "0.001", "0.01");
    assert_eq!(pair.image().facts.tick_size.unwrap().to_string(), "0.01");
}

#[test]
fn a_tick_size_from_before_a_snapshot_that_has_it_does_not_win() {
    for older_ms in [1, ORDER_ERROR_MS + 1, HOUR] {
        let mut pair = Pair::new(T + HOUR);
        pair.book(TOKENS[0], T + HOUR, "0.3");
        pair.tick(T + HOUR - older_ms, "0.01", "0.001");
        let image = pair.image();
        assert_eq!(image.facts.tick_size.unwrap().to_string(), "0.01", "{older_ms}");
        assert_eq!(image.state, BookState::Live, "{older_ms}");
        pair.tick(T + HOUR, "0.01", "0.001");
        assert_eq!(pair.image().facts.tick_size.unwrap().to_string(), "0.001", "{older_ms}");
    }
}

/// A venue of so many connections, each with so many markets of one book pair, seen by a host whose clock is off.
struct Crowd {
    intake: Intake<(), StillClock>,
    connections: u32,
    markets: u32,
    /// The venue's time, Unix milliseconds; messages are read at once.
    venue_ms: u64,
    host_ms: i64,
}

impl Crowd {
    /// All books have their snapshot of `T`, and for a minute the first two markets of each connection moved.
    fn new(connections: u32, markets: u32, host_ms: i64) -> Self {
        let books = Books::new(
            ShardId(0),
            crate::venue::polymarket::feed(true),
            Admission::Implied { shards: 1 },
            (),
        );
        let intake = Intake::new(crate::venue::polymarket::feed(true), books, StillClock(0));
        let mut crowd = Self { intake, connections, markets, venue_ms: T, host_ms };
        for (connection, market) in crowd.all() {
            crowd.snapshot(connection, market, T - HOUR);
        }
        crowd.minute();
        crowd
    }

    fn all(&self) -> Vec<(u32, u32)> {
        (0..self.connections).flat_map(|c| (0..self.markets).map(move |m| (c, m))).collect()
    }

    /// A minute in which the first two markets of each connection move.
    fn minute(&mut self) {
        for _ in 0..60 {
            self.venue_ms += 1_000;
            for connection in 0..self.connections {
                (0..2).for_each(|market| self.change(connection, market, self.venue_ms));
            }
        }
    }

    fn read(&mut self, connection: u32, frame: &str) {
        let wall_ms = self.venue_ms.saturating_add_signed(self.host_ms);
        let now = Now { mono_ns: 1, wall_ns: wall_ms * MILLISECOND_NS };
        self.intake.on_frame(frame, ConnectionSlot(connection), now, &mut Findings::default());
    }

    fn body(connection: u32, market: u32, ms: u64) -> String {
        format!(
            r#""market":"0x1{connection}0{market}","asset_id":"7{connection}0{market}","timestamp":"{ms}","hash":"{}","bids":[{{"price":"0.4","size":"5"}}],"asks":[{{"price":"0.6","size":"5"}}]"#,
            "0".repeat(40)
        )
    }

    fn snapshot(&mut self, connection: u32, market: u32, ms: u64) {
        let body = Self::body(connection, market, ms);
        self.read(connection, &format!(r#"{{{body},"event_type":"book"}}"#));
    }

    fn change(&mut self, connection: u32, market: u32, ms: u64) {
        self.read(connection, &format!(
            r#"{{"market":"0x1{connection}0{market}","price_changes":[{{"asset_id":"7{connection}0{market}","price":"0.39","size":"7","side":"BUY","hash":"{}","best_bid":"0.4","best_ask":"0.6"}}],"timestamp":"{ms}","event_type":"price_change"}}"#,
            "0".repeat(40)
        ));
    }

    /// The answer of the REST interface, which has the venue's time.
    fn answer(&mut self, connection: u32, market: u32) {
        let token = TokenId::new(&format!("7{connection}0{market}")).unwrap();
        let mut wanted = Vec::new();
        self.intake.books.check_snapshots(
            &[token],
            ConnectionSlot(connection),
            u64::MAX / 2,
            &mut wanted,
        );
        assert_eq!(wanted, [token]);
        self.answer_of(connection, market, self.venue_ms);
    }

    /// An answer that is of this venue time, and comes now.
    fn answer_of(&mut self, connection: u32, market: u32, ms: u64) {
        let hash = format!(r#""hash":"{}","#, "0".repeat(40));
        let body = Self::body(connection, market, ms).replace(&hash, "");
        let body = format!("[{{{body}}}]");
        let wall_ms = self.venue_ms.saturating_add_signed(self.host_ms);
        let now = Now { mono_ns: 1, wall_ns: wall_ms * MILLISECOND_NS };
        self.intake.on_rest_part(&body, &mut Default::default(), usize::MAX, (u32::MAX, now));
    }

    fn is_live(&self, connection: u32, market: u32) -> bool {
        let mut image = BookImage::default();
        assert!(self.intake.books.fill_image(&format!("7{connection}0{market}"), &mut image));
        image.state == BookState::Live
    }

    /// Books that are not live, snapshots refused.
    fn troubles(&self) -> (u64, u64) {
        let counts = self.intake.books.counts();
        (counts.books - counts.live, counts.snapshots_refused)
    }
}

/// Hosts that are right, behind and ahead, milliseconds.
const HOSTS: [i64; 6] = [0, -2_500, -10_000, -600_000, -7 * HOUR as i64, 600_000];

#[test]
fn a_clock_that_is_wrong_costs_no_book() {
    for host_ms in HOSTS {
        let mut crowd = Crowd::new(2, 5, host_ms);
        for _ in 0..10 {
            for (connection, market) in crowd.all() {
                crowd.snapshot(connection, market, crowd.venue_ms);
                crowd.change(connection, market, crowd.venue_ms);
            }
            crowd.minute();
        }
        assert_eq!(crowd.troubles(), (0, 0), "{host_ms}");
        assert_eq!(crowd.intake.books.clock_offset_ms(), Some(host_ms));
    }
}

#[test]
fn a_clock_that_is_set_in_mid_run_costs_no_book() {
    for (host_ms, then_ms) in [(0, -600_000), (-600_000, 0), (-10_000, 0), (600_000, -10_000)] {
        let mut crowd = Crowd::new(2, 5, host_ms);
        crowd.host_ms = then_ms;
        for _ in 0..5 {
            crowd.minute();
            for (connection, market) in crowd.all() {
                crowd.snapshot(connection, market, crowd.venue_ms);
            }
        }
        assert_eq!(crowd.troubles(), (0, 0), "{host_ms}, {then_ms}");
        assert_eq!(crowd.intake.books.clock_offset_ms(), Some(then_ms));
    }
}

#[test]
fn one_book_from_the_future_is_repaired_whatever_the_hosts_clock() {
    for host_ms in HOSTS {
        for ahead_ms in [CLOCK_ERROR_MS + 1, HOUR, 1_000 * T] {
            // A clock that is ahead has reached what is ahead of the venue by less.
            if (ahead_ms as i64) < host_ms + CLOCK_ERROR_MS as i64 {
                continue;
            }
            let mut crowd = Crowd::new(2, 5, host_ms);
            crowd.snapshot(1, 4, crowd.venue_ms + ahead_ms);
            assert_eq!(crowd.troubles().0, 1, "{host_ms}, {ahead_ms}");
            assert!(!crowd.is_live(1, 4));
            crowd.answer(1, 4);
            assert_eq!(crowd.troubles().0, 0, "{host_ms}, {ahead_ms}");
            assert!(crowd.is_live(1, 4));
        }
    }
}

#[test]
fn an_answer_from_before_the_last_change_repairs_nothing_whatever_the_hosts_clock() {
    for host_ms in HOSTS {
        let mut crowd = Crowd::new(2, 5, host_ms);
        let before_ms = crowd.venue_ms - 1;
        crowd.intake.books.on_undecoded("0x1100", "7100", 1);
        let (mut wanted, token) = (Vec::new(), TokenId::new("7100").unwrap());
        crowd.intake.books.check_snapshots(&[token], ConnectionSlot(1), 0, &mut wanted);
        crowd.answer_of(1, 0, before_ms);
        assert!(!crowd.is_live(1, 0), "{host_ms}: it was asked for before the change came");
        crowd.answer_of(1, 0, crowd.venue_ms);
        assert!(crowd.is_live(1, 0), "{host_ms}");
    }
}

#[test]
fn books_of_one_connection_from_the_future_do_not_move_the_clock() {
    for host_ms in [0, -600_000] {
        let mut crowd = Crowd::new(3, 5, host_ms);
        for market in 0..5 {
            crowd.snapshot(0, market, crowd.venue_ms + HOUR);
        }
        assert_eq!(crowd.troubles(), (5, 5), "{host_ms}");
        // Nor do its changes: the other two connections decide.
        for market in 0..5 {
            crowd.change(0, market, crowd.venue_ms + HOUR);
        }
        assert_eq!(crowd.intake.books.clock_offset_ms(), Some(host_ms));
        crowd.snapshot(1, 3, crowd.venue_ms + HOUR);
        assert!(!crowd.is_live(1, 3));
        for (connection, market) in [(0, 3), (0, 4), (1, 3)] {
            crowd.answer(connection, market);
            assert!(crowd.is_live(connection, market), "{host_ms} {connection} {market}");
        }
    }
}
