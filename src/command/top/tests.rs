//! Tests of the screens, of keys and of what is asked for.
use super::draw::draw;
use super::figure::Theme;
use super::state::{App, Ask, Reply, View};
use crate::base::time::{Now, SECOND_NS};
use crate::counter::report::{ConnectionReport, EngineReport, ShardReport, VenueReport};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{
    Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 60)];

fn ok(body: impl AsRef<[u8]>) -> Reply {
    Ok((200, body.as_ref().to_vec()))
}

fn at(second: u64) -> Now {
    Now { mono_ns: second * SECOND_NS, wall_ns: second * SECOND_NS }
}

/// So many messages and stale books at so many seconds.
fn report(second: u64, messages: u64, stale: u64) -> EngineReport {
    let mut report = EngineReport {
        version: "1.2.3".into(),
        started_wall_ns: SECOND_NS,
        now_wall_ns: second * SECOND_NS,
        ..EngineReport::default()
    };
    report.health.healthy = stale == 0;
    if stale > 0 {
        report.health.reasons.push("venue: shard-1 hangs for 4 s".into());
    }
    report.venues.push(VenueReport {
        venue: "venue".into(),
        markets: 1_234,
        shards: vec![0],
        ..VenueReport::default()
    });
    let mut shard = ShardReport {
        heartbeat_wall_ns: second * SECOND_NS,
        healthy: true,
        ..ShardReport::default()
    };
    shard.intake.messages = messages;
    (shard.books.books, shard.books.live) = (2_468, 2_468 - stale);
    (shard.books.stale, shard.books.stale_undecoded) = (stale, stale);
    report.shards.push(shard);
    for id in [1, 2] {
        let (name, state) =
            (format!("connection-{id}"), if id == 1 { "active" } else { "waiting" });
        let why = "connection refused \u{1b}[31m".into();
        report.pool.connections.push(ConnectionReport {
            id,
            name,
            why,
            state: state.into(),
            ..ConnectionReport::default()
        });
    }
    report
}

fn app() -> App {
    App::new("http://127.0.0.1:9300".into(), SECOND_NS, Theme { coloured: false })
}

/// Answers what is asked.
fn answer(app: &mut App, second: u64, reply: impl Fn(&Ask) -> Reply) -> Vec<Ask> {
    let asks = app.asks(second * SECOND_NS);
    asks.iter().for_each(|ask| app.on_answer(ask.clone(), reply(ask), at(second)));
    asks
}

fn engine(second: u64, stale: u64) -> impl Fn(&Ask) -> Reply {
    move |ask| match ask {
        Ask::Stats => ok(sonic_rs::to_vec(&report(second, second * 1_000, stale)).unwrap()),
        Ask::Conditions => {
            ok(r#"[{"condition":"{shard} hangs for {seconds} s","remedy":"Restart it."}]"#)
        }
        Ask::Host => ok(
            r#"{"profile":"vm","ok":3,"warn":1,"bad":0,"settings":[{"setting":"load","verdict":"warn","remedy":"Wait."}]}"#,
        ),
        Ask::Search(_) => ok(format!(r#"{{"total":1,"next":null,"markets":[{MARKET}]}}"#)),
        Ask::Market(_) => ok(MARKET),
        Ask::Book(token) if token == "11" => ok(
            r#"{"bids":[{"price":"0.4","size":"7"},{"price":"0.41","size":"1234.5"}],"asks":[{"price":"0.44","size":"2"}],"last_trade_price":"0.420"}"#,
        ),
        Ask::Book(_) => {
            Ok((503, br#"{"error":"waiting for the first snapshot of this book"}"#.to_vec()))
        }
        Ask::Trades(_) => ok(
            r#"[{"token":"11","time_ms":1000,"price":"0.42","size":"9","side":"buy","id":null}]"#,
        ),
        Ask::Latency => ok(format!(
            r#"{{"started_ms":1,"now_ms":{},"stages":[{{"stage":"read","buckets":[[1000,{second}],[90000,2]]}}]}}"#,
            second * 1_000
        )),
        Ask::Recycle(_) => Ok((202, br#"{"status":"queued"}"#.to_vec())),
    }
}

const MARKET: &str = concat!(
    r#"{"venue":"venue","market":"0x1","slug":"rain","question":"Will it \u202erain?","stage":"opened","#,
    r#""end_ms":90000000,"tick_size":"0.01","tokens":[{"token":"11","outcome":"Yes","book":{"state":"live","#,
    r#""read_ms":1000,"version":5,"hash_right_ms":2000,"levels_right_ms":null}},{"token":"12","outcome":"No"}]}"#
);

fn press(app: &mut App, code: KeyCode) {
    app.on_event(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
}

fn click(app: &mut App, kind: MouseEventKind, column: u16, row: u16) {
    app.on_event(&Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
}

fn screen(app: &mut App, (width, height): (u16, u16), second: u64) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(app, frame, second * SECOND_NS)).unwrap();
    let cells = terminal.backend().buffer().content.chunks(usize::from(width));
    cells.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect()).collect()
}

fn assert_shows(screen: &[String], texts: &[&str]) {
    for text in texts {
        assert!(screen.iter().any(|line| line.contains(text)), "{text}:\n{}", screen.join("\n"));
    }
    assert!(!screen.iter().any(|line| line.contains(['\u{1b}', '\u{202e}'])));
}

#[test]
fn the_overview_has_the_figures_and_what_to_do() {
    for size in SIZES {
        let mut app = app();
        let asks = answer(&mut app, 10, engine(10, 0));
        assert_eq!(asks, [Ask::Stats, Ask::Conditions, Ask::Host]);
        assert_eq!(answer(&mut app, 10, engine(10, 0)), [], "the interval has not passed");
        assert_eq!(answer(&mut app, 12, engine(12, 3)), [Ask::Stats]);
        let screen = screen(&mut app, size, 12);
        assert!(screen[0].contains("■ 1 fault"), "{}", screen[0]);
        assert_shows(
            &screen,
            &[
                "venue            1,234",
                "2,465     of 2,468 live, 0 awaiting, 3 stale: undecoded 3",
            ],
        );
        assert_shows(
            &screen,
            &["messages/s   1,000", "■ venue: shard-1 hangs for 4 s", "    Restart it.", "q quit"],
        );
        if size.1 == 60 {
            assert_shows(
                &screen,
                &["▲ host: load", "    Wait.", "both outcomes of a market", "shard-0"],
            );
        }
    }
}

#[test]
fn an_engine_that_is_gone_is_asked_for_stats_only_until_it_is_back() {
    let mut app = app();
    answer(&mut app, 10, engine(10, 0));
    let gone = |_: &Ask| Err("http://127.0.0.1:9300/stats: Connection refused".to_owned());
    answer(&mut app, 11, gone);
    assert_eq!(answer(&mut app, 15, gone), [Ask::Stats]);
    for size in SIZES {
        let screen = screen(&mut app, size, 15);
        assert!(screen[0].contains("■ no answer"));
        assert!(
            screen[1].starts_with("■ no answer for 5 s, asked again every 1 s: Connection refused")
        );
        assert_shows(&screen, &["of 2,468 live"]);
    }
    answer(&mut app, 16, |_| Ok((200, b"<html>".to_vec())));
    assert!(app.failure.is_some());
    answer(&mut app, 17, engine(17, 0));
    assert!(screen(&mut app, SIZES[0], 17)[0].contains("● healthy"));
}

#[test]
fn a_recycle_is_asked_for_after_a_confirmation() {
    let mut app = app();
    answer(&mut app, 10, engine(10, 0));
    press(&mut app, KeyCode::Char('2'));
    for size in SIZES {
        assert_shows(
            &screen(&mut app, size, 10),
            &["connection-1   ● active", "connection-2   ■ waiting", "\\u001b[31m"],
        );
    }
    press(&mut app, KeyCode::Char('r'));
    assert_shows(&screen(&mut app, SIZES[0], 10), &["Recycle connection-1?", "y recycle"]);
    press(&mut app, KeyCode::Char('n'));
    assert!(!answer(&mut app, 12, engine(12, 0)).contains(&Ask::Recycle(1)));
    press(&mut app, KeyCode::Char('r'));
    press(&mut app, KeyCode::Char('y'));
    assert_eq!(answer(&mut app, 12, engine(12, 0)), [Ask::Recycle(1)]);
    assert_shows(&screen(&mut app, SIZES[0], 12), &["connection 1: the recycle is queued"]);
    click(&mut app, MouseEventKind::Down(MouseButton::Left), 3, 5);
    assert_eq!(app.selected_connection().map(|one| one.id), Some(2));
    press(&mut app, KeyCode::Char('r'));
    assert_eq!(app.confirm, None, "it is not up");
}

#[test]
fn a_market_is_found_and_shown_with_both_books() {
    let mut app = app();
    answer(&mut app, 10, engine(10, 0));
    press(&mut app, KeyCode::Char('/'));
    "rain q".chars().for_each(|c| press(&mut app, KeyCode::Char(c)));
    press(&mut app, KeyCode::Enter);
    let asks = answer(&mut app, 11, engine(11, 0));
    assert_eq!(asks[1], Ask::Search("rain q".into()));
    assert_eq!(asks[1].path(), "/markets?limit=100&q=rain%20q");
    assert_shows(&screen(&mut app, SIZES[0], 11), &["/ rain q", "Will it \\u202erain?", "1 found"]);
    press(&mut app, KeyCode::Enter);
    answer(&mut app, 12, engine(12, 0));
    for size in SIZES {
        let screen = screen(&mut app, size, 12);
        assert_shows(
            &screen,
            &["Yes ● live", "spread 0.03  mid 0.425  last 0.420", "No ○ no data yet"],
        );
        assert_shows(
            &screen,
            &["0.41      1234.5        1,234 ██", "waiting for the first snapshot", "▲ buy  Yes"],
        );
    }
    press(&mut app, KeyCode::Esc);
    assert!(app.open.is_none());
}

#[test]
fn latency_is_of_the_last_minute_or_since_the_start() {
    let mut app = app();
    answer(&mut app, 10, |ask| match ask {
        Ask::Stats => {
            let mut report = report(10, 1, 0);
            report.latencies.push(crate::counter::latency::LatencySummary {
                stage: "read".into(),
                count: 77,
                p50_ns: 1_500,
                ..Default::default()
            });
            ok(sonic_rs::to_vec(&report).unwrap())
        }
        ask => engine(10, 0)(ask),
    });
    app.view = View::Latency;
    let kept = app.report.take();
    for second in [11, 12] {
        answer(&mut app, second, engine(second, 0));
    }
    app.report = kept;
    for size in SIZES {
        assert_shows(
            &screen(&mut app, size, 12),
            &["Values: last minute", "Histogram of read", "1.00 µs"],
        );
    }
    press(&mut app, KeyCode::Char('s'));
    assert_shows(
        &screen(&mut app, SIZES[0], 12),
        &["Values: since the start", "77", "1.50 µs", "90.0 µs"],
    );
}

#[test]
fn every_view_is_drawn_at_every_size_and_keys_lead_to_it() {
    let mut app = app();
    answer(&mut app, 10, engine(10, 2));
    for second in 11..15 {
        press(&mut app, KeyCode::Tab);
        answer(&mut app, second, engine(second, 2));
        press(&mut app, KeyCode::Enter);
        answer(&mut app, second, engine(second, 2));
        for key in [KeyCode::Down, KeyCode::End, KeyCode::PageUp, KeyCode::Home] {
            press(&mut app, key);
            for (width, height) in
                [(1, 1), (7, 3), (30, 8), (80, 24), (121, 30), (200, 60), (300, 100)]
            {
                screen(&mut app, (width, height), second);
            }
        }
    }
    assert_eq!(app.view, View::Overview);
    let seen = [2, 15, 32, 44].map(|column| {
        click(&mut app, MouseEventKind::Down(MouseButton::Left), column, 0);
        app.view
    });
    assert_eq!(seen, View::ALL.map(|(view, _)| view));
    press(&mut app, KeyCode::Char('q'));
    assert!(app.is_over);
}
