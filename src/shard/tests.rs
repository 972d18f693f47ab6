//! A shard over real sockets on loopback, stepped by hand: no executor, no control core.
use super::*;
use crate::base::{
    id::{ConnectionId, MarketId, TokenId},
    price::{Price, Quantity},
    time::SECOND_NS,
};
use crate::io::socket::{Connecting, Socket, Stream};
use crate::link::control_shard::{NamedOpening, ShardCommand};
use crate::link::shard_capture::{Entry, Kind, capture_link};
use crate::link::shard_shard::{ForwardedEvent, Peers};
use crate::market::book::{BookOpening, Side, image::BookImage};
use crate::market::event::{Event, Trade};
use crate::ring::ring;
use crate::session::Session;
use crate::wire::websocket::Upgrade;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::cell::Cell;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

const A: ConnectionId = ConnectionId(1);
const B: ConnectionId = ConnectionId(2);

/// A shard and the far ends of its links.
struct Rig<C = HostClock> {
    shard: Shard<(), C>,
    commands: Producer<StampedCommand>,
    reports: Consumer<Report>,
    queries: Producer<BookQuery>,
    answers: Consumer<BookAnswer>,
    listener: TcpListener,
    clock: C,
}

type Peer = WebSocket<TcpStream>;

/// A clock that advances by a pause at each reading: a thread that does not run for so long.
#[derive(Clone, Default)]
struct PausingClock(Rc<Cell<(u64, u64)>>);

impl PausingClock {
    fn pause(&self, ns: u64) {
        self.0.set((self.0.get().0, ns));
    }
}

impl Clock for PausingClock {
    fn mono_ns(&self) -> u64 {
        let (now_ns, pause_ns) = self.0.get();
        self.0.set((now_ns + pause_ns, pause_ns));
        now_ns + pause_ns
    }
}

impl Rig {
    fn new() -> Self {
        Self::with_clock(HostClock::new())
    }
}

impl<C: Clock + Clone> Rig<C> {
    fn with_clock(clock: C) -> Self {
        let (commands, command_receiver) = ring(1024);
        let (report_sender, reports) = ring(4096);
        let (queries, query_receiver) = ring(64);
        let (answer_sender, answers) = ring(64);
        let links = ShardLinks {
            peers: Default::default(),
            commands: command_receiver,
            reports: report_sender,
            queries: query_receiver,
            answers: answer_sender,
            updates: None,
        };
        let feed = crate::venue::polymarket::feed(false);
        let shard =
            Shard::new(ShardId(0), feed, ShardConfig::default(), (), clock.clone(), links).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { shard, commands, reports, queries, answers, listener, clock }
    }

    fn command(&mut self, command: ShardCommand) {
        let stamped = StampedCommand { sent_ns: self.clock.mono_ns(), command };
        assert!(self.commands.try_send(stamped).is_ok());
        self.shard.step(0);
    }

    fn open(&mut self, connection: ConnectionId, tokens: &[u32]) {
        self.open_to_replace(connection, tokens, &[]);
    }

    fn open_to_replace(&mut self, connection: ConnectionId, tokens: &[u32], old: &[ConnectionId]) {
        self.open_in("0x1", connection, tokens, old);
    }

    fn open_in(
        &mut self,
        market: &str,
        connection: ConnectionId,
        tokens: &[u32],
        old: &[ConnectionId],
    ) {
        let opening = |&token: &u32| NamedOpening {
            opening: BookOpening {
                market: MarketId::new(market).unwrap(),
                token: TokenId::new(&token.to_string()).unwrap(),
                tick_size: None,
                min_order_size: None,
                neg_risk: false,
            },
            slug: "".into(),
        };
        let books = tokens.iter().map(opening).collect();
        self.command(ShardCommand::Open {
            connection,
            books,
            role: crate::venue::Role::Books,
            replaces: old.into(),
        });
    }

    /// A new socket under the connection; gives the venue's end of it.
    fn attach(&mut self, connection: ConnectionId) -> Peer {
        let socket = Socket::connect(self.listener.local_addr().unwrap()).unwrap();
        let (peer, _) = self.listener.accept().unwrap();
        while socket.poll_connected().unwrap() != Connecting::Done {}
        let stream: Box<dyn Stream> = Box::new(socket);
        self.command(ShardCommand::Attach { connection, stream, session: session() });
        peer.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        WebSocket::from_raw_socket(peer, Role::Server, None)
    }

    /// Steps until `done`, at most five seconds.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline_ns = self.clock.mono_ns() + 5 * SECOND_NS;
        while !done(self) {
            assert!(self.clock.mono_ns() < deadline_ns, "{what}");
            self.shard.step(1_000_000);
        }
    }

    /// State and best bid of a book, `none` when there is no such book.
    fn shown(&mut self, token: u32) -> String {
        let token = TokenId::new(&token.to_string()).unwrap();
        let image = Box::new(BookImage::default());
        self.queries.try_send(BookQuery { ticket: 0, token, image }).unwrap();
        let answer = loop {
            self.shard.step(0);
            if let Some(answer) = self.answers.try_receive() {
                break answer;
            }
        };
        if !answer.found {
            return "none".into();
        }
        let best = answer.image.bids.last().map_or("-".into(), |level| level.price.to_string());
        format!("{} {best}", answer.image.state.name())
    }

    fn until_shown(&mut self, token: u32, wanted: &str) {
        let what = format!("{token} never became `{wanted}`");
        self.until(&what, |rig| rig.shown(token) == wanted);
    }
}

/// A session whose upgrade is complete.
fn session() -> Box<Session> {
    let mut upgrade = Upgrade::start("ws://127.0.0.1:9/ws/market", "ringbook/test").unwrap();
    let request = String::from_utf8(upgrade.take_output()).unwrap();
    let key = request.lines().find(|line| line.to_lowercase().starts_with("sec-websocket-key:"));
    let accept = derive_accept_key(key.unwrap()[18..].trim().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    let socket = upgrade.handle_bytes(answer.as_bytes()).unwrap().unwrap();
    Box::new(Session::new(None, socket, "PING"))
}

fn book(token: u32, ms: u64, bid: &str) -> Message {
    book_in("0x1", token, ms, bid)
}

fn book_in(market: &str, token: u32, ms: u64, bid: &str) -> Message {
    Message::text(format!(
        r#"{{"market":"{market}","asset_id":"{token}","timestamp":"{ms}","event_type":"book","bids":[{{"price":"{bid}","size":"5"}}],"asks":[]}}"#
    ))
}

#[test]
fn a_socket_subscribes_once_and_its_end_makes_the_books_stale() {
    let mut rig = Rig::new();
    rig.open(A, &[11, 12]);
    let mut peer = rig.attach(A);
    let first = peer.read().unwrap();
    assert_eq!(
        first.to_text().unwrap(),
        r#"{"assets_ids":["11","12"],"type":"market","initial_dump":true}"#
    );
    peer.send(book(11, 5, "0.4")).unwrap();
    rig.until_shown(11, "live 0.4");
    drop(peer);
    rig.until_shown(11, "stale:disconnected 0.4");
    assert_eq!(rig.shown(12), "awaiting_snapshot -");
    let mut peer = rig.attach(A);
    assert!(peer.read().unwrap().to_text().unwrap().contains(r#"["11","12"]"#));
    peer.send(book(11, 6, "0.5")).unwrap();
    rig.until_shown(11, "live 0.5");
}

#[test]
fn a_connection_that_leaves_no_longer_touches_a_book_that_has_moved() {
    let mut rig = Rig::new();
    rig.open(A, &[11]);
    let mut old = rig.attach(A);
    old.send(book(11, 5, "0.4")).unwrap();
    rig.until_shown(11, "live 0.4");
    // The venue is slow to answer our close and goes on sending.
    rig.command(ShardCommand::Close { connection: A });
    rig.open(B, &[11]);
    let mut new = rig.attach(B);
    new.send(book(11, 6, "0.5")).unwrap();
    rig.until_shown(11, "live 0.5");
    old.send(book(11, 5, "0.4")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    for _ in 0..10 {
        rig.shard.step(1_000_000);
    }
    assert_eq!(rig.shown(11), "live 0.5");
    drop(old);
    drop(new);
    rig.until_shown(11, "stale:disconnected 0.5");
}

#[test]
fn closing_a_connection_leaves_the_books_that_moved_to_another() {
    let mut rig = Rig::new();
    rig.open(A, &[11, 12]);
    rig.open(B, &[11]);
    rig.command(ShardCommand::Close { connection: A });
    assert_eq!((rig.shown(11), rig.shown(12)), ("awaiting_snapshot -".into(), "none".into()));
}

#[test]
fn a_second_socket_under_a_connection_makes_its_books_stale_until_it_has_spoken() {
    let mut rig = Rig::new();
    rig.open(A, &[11]);
    let mut first = rig.attach(A);
    first.send(book(11, 5, "0.4")).unwrap();
    rig.until_shown(11, "live 0.4");
    let mut second = rig.attach(A);
    assert_eq!(rig.shown(11), "stale:disconnected 0.4");
    second.send(book(11, 6, "0.5")).unwrap();
    rig.until_shown(11, "live 0.5");
}

#[test]
fn a_replacement_that_is_given_up_when_it_has_taken_over_leaves_its_books_with_the_old_connection()
{
    let mut rig = Rig::new();
    rig.open(A, &[11]);
    let mut old = rig.attach(A);
    old.send(book(11, 5, "0.4")).unwrap();
    rig.until_shown(11, "live 0.4");
    rig.open_to_replace(B, &[11], &[A]);
    let mut new = rig.attach(B);
    new.send(book(11, 5, "0.4")).unwrap();
    rig.until("the snapshot did not come", |rig| {
        rig.shard.intake.books.owing(books::ConnectionSlot(1)) == Some(0)
    });
    rig.command(ShardCommand::Switch { to: B });
    let mut handed_over = false;
    rig.until("nothing was handed over", |rig| {
        while let Some(report) = rig.reports.try_receive() {
            handed_over |= matches!(report, Report::HandedOver { to: B, .. });
        }
        handed_over
    });
    // The control core had given it up before that report came.
    rig.command(ShardCommand::Close { connection: B });
    assert_eq!(rig.shown(11), "stale:disconnected 0.4");
    old.send(book(11, 6, "0.5")).unwrap();
    rig.until_shown(11, "live 0.5");
    drop(new);
    drop(old);
    rig.until_shown(11, "stale:disconnected 0.5");
}

#[test]
fn a_flood_does_not_keep_a_shard_from_stopping() {
    let mut rig = Rig::new();
    rig.open(A, &[11]);
    rig.open(B, &[12]);
    let mut flooding = rig.attach(A);
    let quiet = rig.attach(B);
    let flood = std::thread::spawn(move || while flooding.send(book(11, 5, "0.4")).is_ok() {});
    rig.until_shown(11, "live 0.4");
    rig.command(ShardCommand::Stop);
    rig.until("the shard does not stop", |rig| rig.shard.schedule.stopped);
    let mut stopped = false;
    while let Some(report) = rig.reports.try_receive() {
        stopped = matches!(report, Report::Stopped);
    }
    assert!(stopped, "the last report is not the end");
    flood.join().unwrap();
    drop(quiet);
}

#[test]
fn a_shard_ends_when_no_other_can_forward_to_it_any_more() {
    let clock = PausingClock::default();
    let mut rig = Rig::with_clock(clock.clone());
    let (mut from_other, incoming) = ring(8);
    let (out, to_other) = ring(8);
    let bell = rig.shard.doorbell();
    rig.shard.links.peers = Peers { out: vec![None, Some((out, bell))], incoming: vec![incoming] };
    rig.open(A, &[11]);
    clock.pause(1_000_000);
    rig.command(ShardCommand::Stop);
    // It has no connection, and another shard still has one.
    for _ in 0..100 {
        rig.shard.step(0);
    }
    assert!(to_other.is_ended() && !rig.shard.schedule.stopped);
    let trade = Trade {
        market: "0x1",
        token: "11",
        timestamp_ms: 7,
        price: Price::parse(b"0.4").unwrap(),
        quantity: Quantity::parse(b"5").unwrap(),
        side: Side::Bid,
        fee_rate_bps: None,
        transaction_hash: "a",
    };
    let trade = ForwardedEvent::new(&Event::Trade(trade), B, 7).unwrap();
    from_other.try_send(trade).unwrap();
    drop(from_other);
    rig.until("the shard does not stop", |rig| rig.shard.schedule.stopped);
    assert_eq!(rig.shard.intake.books.counts().trades, 1);
}

#[test]
fn a_shard_waits_for_another_that_hangs_until_its_deadline() {
    let clock = PausingClock::default();
    let mut rig = Rig::with_clock(clock.clone());
    let (_held, incoming) = ring(8);
    rig.shard.links.peers = Peers { out: Vec::new(), incoming: vec![incoming] };
    clock.pause(1_000_000);
    rig.command(ShardCommand::Stop);
    rig.until("the shard does not stop", |rig| rig.shard.schedule.stopped);
    assert!(clock.mono_ns() > 3 * SECOND_NS);
}

#[test]
fn a_command_to_a_connection_that_was_closed_is_nothing() {
    let mut rig = Rig::new();
    rig.open(A, &[11]);
    rig.command(ShardCommand::Close { connection: A });
    let mut peer = rig.attach(A);
    assert!(peer.read().is_err(), "the socket was dropped");
    rig.command(ShardCommand::Close { connection: A });
    assert_eq!(rig.shown(11), "none");
    assert_eq!(rig.shard.connections.slots(), 1);
    rig.open(B, &[11]);
    assert_eq!(rig.shard.connections.slots(), 1, "the slot is used again");
}

#[test]
fn a_binary_frame_makes_stale_what_it_names_or_all_of_its_connection() {
    let (market, other) = (format!("0x{}", "a".repeat(64)), format!("0x{}", "b".repeat(64)));
    let mut rig = Rig::new();
    let (sender, mut captured) = capture_link(ShardId(0), 4096);
    rig.shard.capture = Some(sender);
    rig.open_in(&market, A, &[11], &[]);
    rig.open_in(&other, A, &[12], &[]);
    rig.open(B, &[13]);
    let (mut peer, mut second) = (rig.attach(A), rig.attach(B));
    let live = |rig: &mut Rig, peer: &mut Peer, second: &mut Peer, ms: u64| {
        for (market, token) in [(&market, 11), (&other, 12)] {
            peer.send(book_in(market, token, ms, "0.4")).unwrap();
        }
        second.send(book(13, ms, "0.4")).unwrap();
        for token in [11, 12, 13] {
            rig.until_shown(token, "live 0.4");
        }
    };
    live(&mut rig, &mut peer, &mut second, 5);
    let named = [b"\xff\x00", book_in(&market, 11, 6, "0.5").into_data().as_ref()].concat();
    peer.send(Message::binary(named.clone())).unwrap();
    rig.until_shown(11, "stale:undecoded_message 0.4");
    assert_eq!([12, 13].map(|token| rig.shown(token)), ["live 0.4", "live 0.4"]);
    // Behind a binary frame books follow again as usual.
    live(&mut rig, &mut peer, &mut second, 7);
    peer.send(Message::binary(vec![])).unwrap();
    rig.until_shown(11, "stale:undecoded_message 0.4");
    rig.until_shown(12, "stale:undecoded_message 0.4");
    assert_eq!(rig.shown(13), "live 0.4");
    let counts = &rig.shard.intake.counts;
    assert_eq!((counts.binary_frames, counts.decode_errors), (2, 2));
    let mut binary = |rig: &mut Rig| {
        rig.shard.capture.as_mut().unwrap().ship(9);
        let chunks = std::iter::from_fn(|| captured.full.try_receive());
        let entry = |e: Entry<'_>| (e.kind, e.connection, e.payload.to_owned());
        let all: Vec<_> = chunks.flat_map(|c| c.iter().map(entry).collect::<Vec<_>>()).collect();
        let is_binary = |kind| matches!(kind, Kind::Binary | Kind::BinarySkipped);
        all.into_iter().filter(|(kind, ..)| is_binary(*kind)).collect::<Vec<_>>()
    };
    let base64 = STANDARD.encode(&named);
    let expected = [(Kind::Binary, A, base64.clone()), (Kind::Binary, A, String::new())];
    assert_eq!(binary(&mut rig), expected);
    // What a connection says that is about to leave is nobody's any more.
    live(&mut rig, &mut peer, &mut second, 10);
    rig.command(ShardCommand::Close { connection: A });
    rig.open_in(&market, B, &[11], &[]);
    second.send(book_in(&market, 11, 11, "0.6")).unwrap();
    rig.until_shown(11, "live 0.6");
    peer.send(Message::binary(named)).unwrap();
    let mut passed = Vec::new();
    rig.until("the frame is not there", |rig| {
        passed = binary(rig);
        !passed.is_empty()
    });
    assert_eq!(passed, [(Kind::BinarySkipped, A, base64)]);
    assert_eq!(rig.shown(11), "live 0.6");
}

/// Two messages of one millisecond, the second of which arrives while the shard's thread does not run.
#[test]
fn a_half_read_group_is_not_compared_after_a_pause() {
    let change = |price: &str, best: &str| {
        Message::text(format!(
            r#"{{"market":"0x1","price_changes":[{{"asset_id":"11","price":"{price}","size":"5","side":"BUY","hash":"{:040}","best_bid":"{best}","best_ask":"1"}}],"timestamp":"6","event_type":"price_change"}}"#,
            0
        ))
    };
    let clock = PausingClock::default();
    let mut rig = Rig::with_clock(clock.clone());
    rig.open(A, &[11]);
    let mut peer = rig.attach(A);
    peer.send(book(11, 5, "0.4")).unwrap();
    let best = |rig: &Rig<PausingClock>| {
        let mut image = BookImage::default();
        rig.shard.intake.books.fill_image("11", &mut image);
        image.bids.last().map(|level| level.price.to_string())
    };
    let step_until = |rig: &mut Rig<PausingClock>, wanted: &str| {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while best(rig).as_deref() != Some(wanted) {
            assert!(std::time::Instant::now() < end, "no {wanted}");
            rig.shard.step(0);
        }
    };
    step_until(&mut rig, "0.4");
    clock.pause(SECOND_NS);
    peer.send(change("0.5", "0.6")).unwrap();
    step_until(&mut rig, "0.5");
    clock.pause(0);
    peer.send(change("0.6", "0.6")).unwrap();
    step_until(&mut rig, "0.6");
    clock.pause(SECOND_NS);
    (0..3).for_each(|_| _ = rig.shard.step(0));
    let checks = rig.shard.intake.books.checks();
    assert_eq!((checks.tops_matched, checks.tops_mismatched), (1, 0));
}
