//! Records to callbacks and updates: what a handler and the serve core of another engine see.
use super::*;
use crate::base::limits::BUS_SILENT_NS;
use crate::bus::books::Source;
use crate::bus::record::{Topic, market_event};

/// Writes down what it is called with.
#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, what: &str, view: &BookView<'_>) {
        let best = view.book.best_bid().map_or("-".to_owned(), |level| level.price.to_string());
        self.0.push(format!("{what} {} {} {best}", view.token, view.state.name()));
    }
}

impl Handler for Lines {
    fn on_open(&mut self, view: &BookView<'_>) {
        self.add("open", view);
    }
    fn on_close(&mut self, view: &BookView<'_>) {
        self.add("close", view);
    }
    fn on_snapshot(&mut self, view: &BookView<'_>) {
        self.add("snapshot", view);
    }
    fn on_price_change(&mut self, view: &BookView<'_>, change: &Change) {
        self.add(&format!("change {}", change.level.price), view);
    }
    fn on_trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) {
        self.add(&format!("trade {}", trade.transaction_hash), view);
    }
    fn on_tick_size(&mut self, view: &BookView<'_>, tick: &TickSize<'_>) {
        self.add(&format!("tick {}", tick.new), view);
    }
    fn on_status(&mut self, view: &BookView<'_>, before: BookState) {
        self.add(&format!("status after {}", before.name()), view);
    }
    fn on_market(&mut self, view: &MarketView<'_>) {
        self.0.push(format!("market {} {:?}", view.info.slug, view.stage));
    }
}

struct Rig {
    books: BusBooks,
    venue: VenueBooks<Lines>,
}

impl Rig {
    fn new() -> Self {
        let venue = Venue::named("polymarket");
        Self {
            books: BusBooks::default(),
            venue: VenueBooks::new(venue, ShardId(0), Lines::default()),
        }
    }

    /// A record that comes at `read_ns`.
    fn feed(&mut self, topic: Topic, read_ns: u64, text: &str) {
        let source = Source { engine: "e", epoch: 1, partition: 0, offset: 0, read_ns };
        let applied = self.books.apply(topic, source, text);
        self.look();
        if let Some(applied) = applied {
            self.venue.on_applied(&applied, &self.books, 9);
        }
    }

    fn look(&mut self) {
        for applied in self.books.take_changed() {
            self.venue.on_applied(&applied, &self.books, 9);
        }
    }

    fn book(&mut self, kind: &str, sequence: u64, rest: &str) {
        let text = format!(
            r#"{{"sequence":{sequence},"kind":"{kind}","venue":"polymarket","market":"0xa","token":"7","version":{sequence},"venue_time":5,"receive_time":6,{rest}}}"#
        );
        let topic = if kind == "trade" { Topic::Trades } else { Topic::Books };
        self.feed(topic, 0, &text);
    }

    fn snapshot(&mut self, sequence: u64, bid: &str) {
        let rest = format!(r#""state":"live","gap":false,"bids":[["{bid}","10"]],"asks":[]"#);
        self.book("snapshot", sequence, &rest);
    }

    fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.venue.handler.0)
    }

    /// What the serve core receives, in a word each.
    fn updates(&mut self) -> Vec<String> {
        let word = |update: BookUpdate| match update.what {
            BookUpdateKind::Image { image, lost, .. } => {
                format!("image {} {lost}", image.state.name())
            }
            BookUpdateKind::Change(change) => format!("change {}", change.level.price),
            BookUpdateKind::Trade(trade) => format!("trade {}", trade.price),
            BookUpdateKind::TickSize { new, .. } => format!("tick {new}"),
            BookUpdateKind::State(state) => state.name().to_owned(),
            BookUpdateKind::Closed => "closed".to_owned(),
            BookUpdateKind::Market(event) => format!("market {:?}", event.stage),
            BookUpdateKind::Ticker(_) => "ticker".to_owned(),
            BookUpdateKind::TradesLost(trades) => format!("{trades} lost"),
        };
        std::iter::from_fn(|| self.venue.poll_update()).map(word).collect()
    }

    fn subscribe(&mut self) {
        let (token, key) = (TokenId::new("7").unwrap(), SubscriptionKey(3));
        self.venue.on_request(UpdateRequest::Subscribe { token, key }, &self.books);
    }
}

#[test]
fn a_book_of_the_bus_is_a_book_of_the_engine() {
    let mut rig = Rig::new();
    rig.snapshot(1, "0.4");
    assert_eq!(
        rig.lines(),
        [
            "open 7 awaiting_snapshot 0.4",
            "status after awaiting_snapshot 7 live 0.4",
            "snapshot 7 live 0.4"
        ]
    );
    assert_eq!(rig.updates(), [""; 0], "nobody subscribes");
    rig.subscribe();
    assert_eq!(rig.updates(), ["image live false"]);
    rig.snapshot(1, "0.4");
    assert_eq!((rig.lines().len(), rig.updates().len()), (0, 0), "repeated in its turn");
    rig.book("change", 2, r#""state":"live","bids":[["0.4","0"],["0.3","1"]],"asks":[]"#);
    assert_eq!(rig.lines(), ["change 0.4 7 live 0.3", "change 0.3 7 live 0.3"]);
    assert_eq!(rig.updates(), ["change 0.4", "change 0.3"]);
    rig.book("trade", 3, r#""price":"0.3","size":"1","side":"buy","id":"0x1""#);
    rig.book("tick", 4, r#""new":"0.001""#);
    assert_eq!(rig.lines(), ["trade 0x1 7 live 0.3", "tick 0.001 7 live 0.3"]);
    assert_eq!(rig.updates(), ["trade 0.3", "tick 0.001"]);
    rig.book("state", 5, r#""state":"closed""#);
    assert_eq!(
        rig.lines(),
        ["status after live 7 awaiting_snapshot 0.3", "close 7 awaiting_snapshot 0.3"]
    );
    assert_eq!(rig.updates(), ["awaiting_snapshot", "closed"]);
    rig.snapshot(6, "0.5");
    assert_eq!(rig.updates(), ["image live false"], "the subscription stays");
    let counts = rig.venue.figures().counts;
    assert_eq!((counts.books, counts.live, counts.trades, counts.snapshots), (1, 1, 1, 2));
}

#[test]
fn books_of_an_engine_that_is_gone_are_stale() {
    let mut rig = Rig::new();
    let running = r#"{"kind":"engine","state":"running"}"#;
    rig.feed(Topic::Events, 0, running);
    rig.snapshot(1, "0.4");
    rig.subscribe();
    rig.updates();
    rig.lines();
    rig.books.on_time(BUS_SILENT_NS + 1);
    rig.look();
    assert_eq!(rig.updates(), ["stale:disconnected"]);
    assert_eq!(rig.lines(), ["status after live 7 stale:disconnected 0.4"]);
    rig.feed(Topic::Events, BUS_SILENT_NS + 2, running);
    assert_eq!(rig.updates(), ["image live false"], "nothing was missing");
    let ended = r#"{"kind":"engine","state":"stopped"}"#;
    rig.feed(Topic::Events, BUS_SILENT_NS + 3, ended);
    assert_eq!(rig.updates(), ["stale:disconnected"], "it waits for a snapshot, and has levels");
    assert_eq!(rig.venue.figures().counts.stale, 1);
}

#[test]
fn stages_of_a_market_are_reported_once_and_none_of_the_past() {
    let mut rig = Rig::new();
    let mut market = |slug: &str, stage: &str| {
        let text = format!(
            r#"{{"sequence":1,"kind":"market","venue":"polymarket","market":"{slug}","receive_time":1,"stage":"{stage}","slug":"{slug}","question":"\"?\"","outcomes":[{{"token":"{slug}1","outcome":"Yes"}},{{"token":"{slug}2","outcome":"No"}}],"tick_size":"0.01","end_time":9,"winner":"{slug}2","result":"No"}}"#
        );
        let (venue, event) = market_event(&text).unwrap();
        assert_eq!((venue, event.info.tokens.len()), (rig.venue.venue(), 2));
        assert_eq!((&*event.info.question, event.info.end_wall_ns), ("\"?\"", Some(9)));
        rig.venue.on_market(event);
    };
    market("old", "resolved");
    for stage in ["new", "opened", "opened", "ended", "resolved", "resolved"] {
        market("a", stage);
    }
    assert_eq!(
        rig.lines(),
        ["market a New", "market a Opened", "market a Ended", "market a Resolved"]
    );
    assert_eq!(rig.updates().len(), 4);
    assert!(market_event(r#"{"stage":"new"}"#).is_err() && market_event("{}").is_err());
}
