//! Faults on request: they happen, and the real stream stays whole.
use ringbook::sim::{SimConfig, Venue};
use serde_json::Value;

use super::client::{Channel, TIMEOUT, all_tokens, ask, connect, get, post, request};
use super::{venue, wait};

#[test]
fn connections_are_dropped_frozen_and_refused() {
    let venue = venue(|config| config.tls = true);
    let tokens = all_tokens(&venue);
    let mut channels: Vec<Channel> = (0..3).map(|_| Channel::open(&venue)).collect();
    for channel in &mut channels {
        channel.subscribe(&tokens, false);
        channel.text();
    }
    assert_eq!(venue.stats().connections, 3);
    assert_eq!(post(&venue, "/sim/freeze?connections=all")["count"], 3);
    venue.resume().unwrap();
    wait(&venue, |stats| stats.events() >= 300);
    for channel in &mut channels {
        assert!(channel.drain().is_empty(), "a PONG and no data");
    }
    assert_eq!(post(&venue, "/sim/drop?connections=2")["count"], 2);
    assert_eq!(post(&venue, "/sim/drop?connections=all")["count"], 1);
    for channel in &mut channels {
        assert_eq!(channel.over(), None, "no close frame");
    }
    assert_eq!((venue.stats().connections, venue.stats().subscriptions), (0, 0));

    post(&venue, "/sim/refuse?ms=60000&status=429");
    let refused = Channel::try_open(&venue).err().unwrap();
    assert!(refused.0 == 429 && refused.1.contains("retry-after"), "{refused:?}");
    post(&venue, "/sim/refuse?ms=60000");
    assert_eq!(Channel::try_open(&venue).err().unwrap().0, 503);
    post(&venue, "/sim/refuse?ms=0");
    Channel::open(&venue).subscribe(&tokens, false);
    assert_eq!(get(&venue, "/sim/stats")["refused"], 2);
    assert_eq!(request(&venue, "GET", "/sim/drop").status, 405);
    assert_eq!(request(&venue, "POST", "/sim/drop?connections=-1").status, 400);
    assert_eq!(request(&venue, "POST", "/sim/nothing").status, 404);
}

#[test]
fn malformed_and_unknown_frames_are_injected() {
    let venue = venue(|_| {});
    let tokens = all_tokens(&venue);
    let mut channel = Channel::open(&venue);
    channel.subscribe(&tokens[..10], true);
    channel.text();
    assert_eq!(post(&venue, "/sim/malformed?count=24")["count"], 24);
    let broken = channel.drain();
    assert_eq!(broken.len(), 22, "two of them are binary");
    let parsed = |text: &&String| serde_json::from_str::<Value>(text).is_ok();
    assert!(broken.iter().filter(parsed).count() > 4, "some are valid JSON with invalid fields");
    assert!(broken.iter().filter(|text| !parsed(text)).count() > 4, "some are no JSON");
    assert_eq!(post(&venue, "/sim/unknown?count=10")["count"], 10);
    let unknown = channel.drain();
    assert_eq!(unknown.len(), 10);
    assert!(unknown.iter().all(|text| serde_json::from_str::<Value>(text).is_ok()));
    let stats = venue.stats();
    assert_eq!((stats.malformed, stats.unknown), (24, 10));
    // Nothing of it touched the books.
    let before = venue.truth(&tokens[0]);
    assert!(before.is_some());
    assert_eq!(post(&venue, "/sim/resume")["paused"], false);
    channel.until(|text| text.contains("price_change"));
    assert_eq!(post(&venue, "/sim/pause")["paused"], true);
    channel.drain();
    assert!(channel.drain().is_empty(), "nothing after a pause");
}

#[test]
fn books_are_lost_on_request() {
    let most = venue(|config| config.dump_tokens_max = 10);
    let tokens = all_tokens(&most);
    let mut channel = Channel::open(&most);
    channel.subscribe(&tokens[..11], false);
    assert!(channel.drain().is_empty(), "too many tokens: no dump, no message");
    most.stop();
    let some = venue(|config| config.lost_books_percent = 30);
    let tokens = all_tokens(&some);
    let mut channel = Channel::open(&some);
    channel.subscribe(&tokens, false);
    let books: Vec<Value> = serde_json::from_str(&channel.text()).unwrap();
    assert!((20..46).contains(&books.len()), "{} of 48", books.len());
    assert_eq!(some.stats().lost_books, 48 - books.len() as u64);
}

#[test]
fn a_failed_start_reports_its_cause() {
    use ringbook::sim::{SimConfig, SimError, Venue};
    let first = venue(|_| {});
    let config = SimConfig { listen: first.address(), ..SimConfig::default() };
    let error = Venue::start(config).err().unwrap();
    assert!(matches!(error, SimError::Listen(..)), "{error}");
    assert!(error.to_string().starts_with("cannot listen on 127.0.0.1:"), "{error}");
    let config = SimConfig { markets: 0, ..SimConfig::default() };
    assert!(matches!(Venue::start(config).err().unwrap(), SimError::Config(_)));
    first.stop();
}

#[test]
fn frames_are_lost_and_doubled_on_request() {
    let venue = venue(|_| {});
    let tokens = all_tokens(&venue);
    let mut channel = Channel::open(&venue);
    channel.subscribe(&tokens, false);
    channel.text();
    let before = venue.stats();
    post(&venue, "/sim/fault?kind=lost&rate=50000&ms=60000");
    venue.resume().unwrap();
    wait(&venue, |stats| stats.lost_frames >= 20 && stats.events() >= 30);
    post(&venue, "/sim/fault?kind=lost&rate=0");
    post(&venue, "/sim/fault?kind=doubled&rate=100000&ms=60000");
    wait(&venue, |stats| stats.doubled_frames >= 20);
    venue.pause().unwrap();
    let stats = venue.stats();
    let got = channel.drain().len() as u64;
    // A frame that is sent twice is counted once; one that is lost is not counted as sent.
    assert_eq!(got, stats.frames - before.frames + stats.doubled_frames, "{stats:?}");
    assert!(stats.lost_frames < stats.events(), "half of them, not all");
}

#[test]
fn connections_are_cut_and_left_half_open_on_request() {
    let venue = venue(|_| {});
    let tokens = all_tokens(&venue);
    let open = || {
        let mut channel = Channel::open(&venue);
        channel.subscribe(&tokens, false);
        channel.text();
        channel
    };
    let mut cut = open();
    post(&venue, "/sim/fault?kind=cut&rate=100000&ms=60000");
    venue.resume().unwrap();
    assert_eq!(cut.over(), None, "no close frame");
    assert_eq!(venue.stats().cut, 1);
    venue.pause().unwrap();
    post(&venue, "/sim/fault?kind=cut&rate=0");
    let mut silent = open();
    post(&venue, "/sim/fault?kind=half-open&rate=100000&ms=60000");
    venue.resume().unwrap();
    wait(&venue, |stats| stats.half_open == 1);
    let before = venue.stats();
    assert_eq!((before.half_open, before.connections), (1, 1), "it stays");
    silent.send_text("PING");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(venue.stats().frames, before.frames, "not even a PONG");
}

#[test]
fn connections_are_late_and_markets_stop_on_request() {
    let config = |c: &mut SimConfig| c.stream_faults = vec![("late".to_owned(), 100_000)];
    let venue = venue(config);
    let tokens = all_tokens(&venue);
    let mut channel = Channel::open(&venue);
    channel.subscribe(&tokens, false);
    channel.text();
    venue.resume().unwrap();
    wait(&venue, |stats| stats.late_frames >= 1);
    let begun = std::time::Instant::now();
    post(&venue, "/sim/fault?kind=late&rate=0");
    channel.text();
    assert!(begun.elapsed() >= std::time::Duration::from_millis(2_000), "{:?}", begun.elapsed());
    // A market of which nothing is reported any more: one after the other, all of them.
    let answer = post(&venue, "/sim/freeze?markets=10000");
    assert_eq!(answer["count"], 10_000);
    venue.pause().unwrap();
    channel.drain();
    let before = venue.stats();
    venue.resume().unwrap();
    wait(&venue, |stats| stats.events() >= before.events() + 50);
    venue.pause().unwrap();
    let received = channel.drain().len() as u64;
    assert!(received < 5, "{received} messages of some market that was not chosen in 10,000 draws");
}

#[test]
fn frames_are_reordered_between_markets_and_never_within_one() {
    let venue = venue(|config| config.markets = 20);
    let tokens = all_tokens(&venue);
    let (mut straight, mut shuffled) = (Channel::open(&venue), Channel::open(&venue));
    for channel in [&mut straight, &mut shuffled] {
        channel.subscribe(&tokens, false);
        channel.text();
    }
    // Half of all frames: both channels are shuffled, each in its own way.
    post(&venue, "/sim/fault?kind=reordered&rate=50000&ms=600000");
    venue.resume().unwrap();
    wait(&venue, |stats| stats.events() > 400);
    venue.pause().unwrap();
    // What waits for another waits for 200 ms.
    std::thread::sleep(std::time::Duration::from_millis(400));
    let reported = [straight.drain(), shuffled.drain()];
    assert!(venue.stats().reordered_frames > 50, "{:?}", venue.stats());
    let by_market = |texts: &[String]| {
        let mut markets = std::collections::BTreeMap::<String, Vec<String>>::new();
        for text in texts {
            let value: Value = serde_json::from_str(text).unwrap();
            let message = value.get(0).unwrap_or(&value);
            let market = message["market"].as_str().unwrap().to_owned();
            markets.entry(market).or_default().push(text.clone());
        }
        markets
    };
    assert!(reported[0].len() > 300);
    assert_ne!(reported[0], reported[1], "other orders");
    assert_eq!(by_market(&reported[0]), by_market(&reported[1]), "and none within a market");
}

#[test]
fn the_clock_is_set_forward_on_request() {
    let venue = venue(|_| {});
    let tokens = all_tokens(&venue);
    let mut channel = Channel::open(&venue);
    channel.subscribe(&tokens, false);
    channel.text();
    post(&venue, "/sim/fault?kind=clock&by=50000");
    venue.resume().unwrap();
    let texts = channel.until(|text| text.contains("price_change"));
    let reported: Value = serde_json::from_str(texts.last().unwrap()).unwrap();
    let last_ms: u128 = reported["timestamp"].as_str().unwrap().parse().unwrap();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(last_ms > since.as_millis() + 30_000, "{last_ms} and {since:?}");
    assert_eq!(venue.stats().clock_steps, 1);
}

#[test]
fn rest_answers_are_late_and_old_on_request() {
    let venue = venue(|config| config.slow_rest_ms = 400);
    let token = all_tokens(&venue).remove(0);
    let path = format!("/book?token_id={token}");
    let begun = std::time::Instant::now();
    assert_eq!(request(&venue, "GET", &path).status, 200);
    assert!(begun.elapsed() >= std::time::Duration::from_millis(400));
    post(&venue, "/sim/fault?kind=slow&by=0");
    post(&venue, "/sim/fault?kind=old-books&ms=60000");
    let first = request(&venue, "GET", &path).body;
    venue.resume().unwrap();
    let moved = || venue.truth(&token).unwrap().into_bytes() != first;
    wait(&venue, |_| moved());
    venue.pause().unwrap();
    assert_eq!(request(&venue, "GET", &path).body, first);
    let body = format!(r#"[{{"token_id":"{token}"}}]"#);
    let more = format!("accept: */*\r\n\r\n{body}");
    let listed = ask(&mut *connect(&venue, TIMEOUT), "POST", "/books", &more).body;
    assert_eq!(listed, [b"[", &first[..], b"]"].concat());
    assert_eq!(venue.stats().old_books, 2);
    post(&venue, "/sim/fault?kind=old-books&ms=0");
    assert_ne!(request(&venue, "GET", &path).body, first);
}

#[test]
fn an_invalid_fault_is_refused_at_the_start() {
    for (name, rate) in [("lots", 1), ("lost", 100_001)] {
        let stream_faults = vec![(name.to_owned(), rate)];
        let config = SimConfig { stream_faults, ..SimConfig::default() };
        let error = Venue::start(config).err().unwrap();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn books_are_refused_and_the_venue_pauses_on_request() {
    let venue = venue(|_| {});
    let tokens = all_tokens(&venue);
    let path = format!("/book?token_id={}", tokens[0]);
    post(&venue, "/sim/fault?kind=books&status=429&ms=60000");
    assert_eq!(request(&venue, "GET", &path).status, 429);
    post(&venue, "/sim/fault?kind=books&ms=0");
    assert_eq!(request(&venue, "GET", &path).status, 200);
    let begun = std::time::Instant::now();
    post(&venue, "/sim/fault?kind=stall&ms=300");
    assert!(begun.elapsed() >= std::time::Duration::from_millis(300));
    assert_eq!(venue.stats().stalls, 1);
    for bad in ["kind=nothing", "rate=5", "kind=lost&rate=100001", "kind=books&status=200"] {
        assert_eq!(request(&venue, "POST", &format!("/sim/fault?{bad}")).status, 400, "{bad}");
    }
}
