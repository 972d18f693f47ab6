//! A cluster: engines as processes divide a venue among themselves, through a broker that librdkafka imitates.
//!
//! Runs on:  test threads; the broker on threads of this process.
use crate::books::agree;
use crate::engine::{Engine, count, sum};
use crate::http::Client;
use crate::program::{POLL_INTERVAL, Program, TIMEOUT};
use crate::venue::Venue;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rustix::process::Signal;
use serde_json::Value;
use std::time::{Instant, SystemTime};

const MARKETS: &str = "60";
pub(crate) const TOKENS: u64 = 120;

pub(crate) struct Fleet {
    pub(crate) venue: Venue,
    pub(crate) url: String,
    pub(crate) engines: Vec<Engine>,
    broker: crate::bus::Mock,
    racks: u64,
    tokens: u64,
}

/// What one engine has.
#[derive(Debug)]
struct Share {
    live: u64,
    books: u64,
    stats: Value,
}

impl Fleet {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let broker = MockCluster::new(1).unwrap();
        for topic in ["trades", "books", "tops", "markets", "events"] {
            broker.create_topic(&format!("fleet.{topic}"), 3, 1).unwrap();
        }
        broker.create_topic("fleet.slices", 256, 1).unwrap();
        let url = format!("kafka://{}/fleet", broker.bootstrap_servers());
        let venue = Venue::start(&[&["--plain", "--markets", MARKETS][..], flags].concat());
        Self { venue, url, engines: Vec::new(), broker, racks: 1, tokens: TOKENS }
    }

    pub(crate) fn with_racks(self, racks: u64) -> Self {
        Self { racks, ..self }
    }

    pub(crate) fn add(&mut self, name: &str, flags: &[&str]) {
        let journal = crate::bus::journal(&self.broker.bootstrap_servers(), name);
        let bus = format!("{}?engine={name}&partitions=3&journal={journal}", self.url);
        let all = ["--shards", "1", "--bus", &bus, "--cluster", "fleet"];
        self.engines.push(Engine::start(&self.venue, &[&all[..], flags].concat()));
    }

    fn shares(&mut self) -> Vec<Share> {
        let share = |engine: &mut Engine| {
            let stats = engine.stats();
            Share { live: sum(&stats, "books_live"), books: sum(&stats, "books"), stats }
        };
        self.engines.iter_mut().map(share).collect()
    }

    /// Waits until every engine has a share, and each book is live at one of them in each rack and at no other.
    pub(crate) fn settle(&mut self, what: &str) {
        let begun = Instant::now();
        loop {
            let shares = self.shares();
            let live: u64 = shares.iter().map(|share| share.live).sum();
            let books: u64 = shares.iter().map(|share| share.books).sum();
            let slices = |share: &Share| count(&share.stats, "/cluster/slices_followed");
            let published = |share: &Share| count(&share.stats, "/cluster/slices_published");
            let all = shares.iter().map(slices).sum::<u64>() == 256 * self.racks
                && shares.iter().map(published).sum::<u64>() == 256 * self.racks;
            let is_divided = shares.iter().all(|share| slices(share) > 0 && share.books > 0);
            if all && is_divided && [live, books] == [self.tokens * self.racks; 2] {
                break eprintln!("{what}: settled in {:?}", begun.elapsed());
            }
            if begun.elapsed() > TIMEOUT {
                let parts = shares.iter().map(|s| (s.live, s.books, &s.stats["cluster"]));
                let parts: Vec<_> = parts.collect();
                panic!("{what}: {parts:#?}\n{}", self.engines[0].program);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

/// The engine that scans the catalog, once there is one.
fn scanner(fleet: &mut Fleet) -> usize {
    let begun = Instant::now();
    loop {
        let shares = fleet.shares();
        let scans = |share: &Share| count(&share.stats, "/cluster/scans_catalog") == 1;
        let scanners: Vec<usize> = (0..shares.len()).filter(|&i| scans(&shares[i])).collect();
        let pages = |i: usize| count(&shares[i].stats, "/lifecycle/pages");
        if let [scanner] = scanners[..]
            && pages(scanner) > 0
        {
            return scanner;
        }
        assert!(begun.elapsed() < TIMEOUT, "{scanners:?} scan: {}", fleet.engines[0].program);
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Births that the stream does not announce are found by the member that scans, and followed by the one whose they are.
#[test]
fn one_member_reads_the_catalog_for_all() {
    let mut fleet = Fleet::start(&["--rate", "50"]);
    let flags = ["--no-custom-features"];
    ["m1", "m2", "m3"].into_iter().for_each(|name| fleet.add(name, &flags));
    fleet.settle("three engines");
    let first = scanner(&mut fleet);
    let pages = |shares: &[Share]| -> Vec<u64> {
        shares.iter().map(|share| count(&share.stats, "/lifecycle/pages")).collect()
    };
    let asked = pages(&fleet.shares());
    let requests = fleet.venue.stat("catalog_requests");
    let shares = fleet.shares();
    // A member that does not get to run for 10 s scans itself, and says so.
    if shares.iter().all(|share| count(&share.stats, "/cluster/catalog_fallbacks") == 0) {
        let is_one = |(i, pages): (usize, &u64)| (*pages > 0) == (i == first);
        assert!(asked.iter().enumerate().all(is_one), "{asked:?}, {first} scans");
        let after = pages(&shares);
        let is_all = (asked[first]..=after[first] + 1).contains(&requests);
        assert!(is_all, "{requests} requests of the venue's catalog, {asked:?}, then {after:?}");
    }
    // Another member gets the first slice, and scans.
    fleet.venue.control("birth?count=10");
    fleet.tokens += 20;
    fleet.add("a0", &flags);
    fleet.settle("ten births, a fourth engine");
    // The one that scans dies: the next one finds what is born then.
    let dead = scanner(&mut fleet);
    let dead = fleet.engines.remove(dead);
    dead.program.signal(Signal::KILL);
    fleet.venue.control("birth?count=10");
    fleet.tokens += 20;
    fleet.settle("ten births, the reader of the catalog killed");
    scanner(&mut fleet);
    for engine in &mut fleet.engines {
        let all = |stats: &Value| count(stats, "/registry/markets") == 80;
        let (stats, _) = engine.wait_for("all markets", TIMEOUT, all);
        let has_scanned = count(&stats, "/lifecycle/pages") > 0;
        assert!(has_scanned || count(&stats, "/cluster/markets_read") >= 80, "{stats:#}");
    }
    fleet.venue.pause();
    let tokens = fleet.venue.tokens();
    let mut equal = 0;
    for engine in &mut fleet.engines {
        let mut client = Client::new(&format!("http://{}", engine.address), None);
        let own: Vec<String> =
            tokens.iter().filter(|token| has_book(&mut client, token)).cloned().collect();
        equal += agree(engine, &mut fleet.venue, &own).equal;
    }
    assert_eq!(equal as u64, fleet.tokens);
}

/// The key of a market that ended long ago is deleted, those of others are not; a member that reads both starts.
#[test]
fn markets_that_ended_long_ago_are_deleted() {
    let mut fleet = Fleet::start(&["--rate", "50"]);
    let servers = fleet.broker.bootstrap_servers();
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
    let now_ns = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    for (market, time) in [("0xold", 1_000), ("0xnew", now_ns)] {
        let text = format!(
            r#"{{"sequence":1,"kind":"market","venue":"polymarket","market":"{market}","receive_time":{time},"stage":"resolved","slug":"s","question":"q","outcomes":[{{"token":"1","outcome":"Yes"}},{{"token":"2","outcome":"No"}}]}}"#
        );
        producer.send(BaseRecord::to("fleet.markets").key(market).payload(&text)).unwrap();
    }
    producer.flush(TIMEOUT).unwrap();
    fleet.add("east", &[]);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &servers)
        .set("group.id", "deletions")
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    (0..3).for_each(|number| {
        all.add_partition_offset("fleet.markets", number, Offset::Beginning).unwrap();
    });
    consumer.assign(&all).unwrap();
    let (begun, mut written) = (Instant::now(), Vec::new());
    let (key, partition) = loop {
        assert!(begun.elapsed() < TIMEOUT, "{}", fleet.engines[0].program);
        let Some(Ok(message)) = consumer.poll(POLL_INTERVAL) else { continue };
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        match message.payload() {
            Some(_) => written.push((key, message.partition())),
            None => break (key, message.partition()),
        }
    };
    assert_eq!(key, "0xold");
    assert!(written.contains(&(key, partition)), "it is where the record was: {written:?}");
    fleet.add("west", &[]);
    fleet.settle("two engines");
    for engine in &mut fleet.engines {
        assert_eq!(count(&engine.stats(), "/cluster/markets_unreadable"), 0);
    }
}

/// Exit code and lines of `cluster status`, until they are as wanted: engines report each second.
fn wait_for_status(fleet: &Fleet, more: &[&str], wanted: impl Fn(bool, &[String]) -> bool) {
    let begun = Instant::now();
    loop {
        let mut command = Program::ringbook();
        command.args(["cluster", "status", "--bus", &fleet.url, "--cluster", "fleet"]).args(more);
        let mut program = Program::start(command);
        let is_well = program.wait(TIMEOUT).success();
        program.assert_clean();
        let lines = program.stdout();
        if wanted(is_well, &lines) {
            return;
        }
        assert!(begun.elapsed() < TIMEOUT, "{is_well}: {lines:#?}");
    }
}

/// Whether an engine that may have ended has a book with its snapshot. A busy one is asked again.
fn has_book(client: &mut Client, token: &str) -> bool {
    let begun = Instant::now();
    loop {
        let Ok(answer) = client.request("GET", &format!("/book?token_id={token}")) else {
            return false;
        };
        let is_busy = answer.status == 503 && answer.header("x-ringbook-state").is_none();
        if !is_busy {
            return answer.status == 200;
        }
        assert!(begun.elapsed() < TIMEOUT, "{}", answer.text());
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// All lose the broker: nobody takes anything over, and each has its books for its own users.
#[test]
fn engines_keep_their_books_while_the_broker_is_away() {
    let mut fleet = Fleet::start(&["--rate", "50"]);
    ["east", "west"].into_iter().for_each(|name| fleet.add(name, &[]));
    fleet.settle("two engines");
    let before: Vec<u64> = fleet.shares().iter().map(|share| share.books).collect();
    fleet.broker.broker_down(-1).unwrap();
    for (engine, books) in fleet.engines.iter_mut().zip(before) {
        let (stats, _) = engine.wait_for("end of the session", TIMEOUT, |stats| {
            let figure = |name: &str| count(stats, &format!("/cluster/{name}"));
            figure("in_session") == 0 && figure("slices_published") == 0
        });
        assert_eq!(sum(&stats, "books"), books, "{stats:#}");
        engine.wait_health(503, "has no session in the cluster fleet");
    }
    // One that finds no broker knows the markets nevertheless.
    fleet.add("north", &[]);
    let north = &mut fleet.engines[2];
    north.wait_for("scan without a broker", TIMEOUT, |stats| {
        count(stats, "/cluster/catalog_fallbacks") == 1 && count(stats, "/registry/markets") == 60
    });
    let notice = "scans the catalog itself: no other member";
    assert!(north.health().1.to_string().contains(notice), "{}", north.health().1);
    fleet.broker.broker_up(-1).unwrap();
    fleet.settle("the broker is back");
    scanner(&mut fleet);
    for engine in &mut fleet.engines {
        let is_back = |stats: &Value| count(stats, "/cluster/in_session") == 1;
        engine.wait_for("session", TIMEOUT, is_back);
    }
}

#[test]
fn engines_divide_the_markets_whoever_comes_and_goes() {
    let mut fleet = Fleet::start(&["--rate", "50"]);
    ["east", "north", "west"].into_iter().for_each(|name| fleet.add(name, &[]));
    fleet.settle("three engines");
    // One dies: the others have its markets after the session has ended.
    let dead = fleet.engines.remove(1);
    dead.program.signal(Signal::KILL);
    fleet.settle("one killed");
    fleet.add("south", &[]);
    fleet.settle("one added");
    // One is stopped: each book is somewhere all the time.
    let tokens = fleet.venue.tokens();
    let mut leaving = fleet.engines.remove(0);
    let client = |engine: &Engine| Client::new(&format!("http://{}", engine.address), None);
    let mut old = client(&leaving);
    let mut others: Vec<Client> = fleet.engines.iter().map(client).collect();
    leaving.program.signal(Signal::TERM);
    let mut rounds = 0;
    while leaving.program.is_running() {
        for token in &tokens {
            // The former owner goes on for two seconds after it has read that another one has the book.
            let any =
                has_book(&mut old, token) || others.iter_mut().any(|other| has_book(other, token));
            assert!(any, "{token} is nowhere in round {rounds}");
        }
        rounds += 1;
    }
    assert!(rounds > 0 && leaving.program.wait(TIMEOUT).success(), "{}", leaving.program);
    leaving.program.assert_clean();
    fleet.settle("one stopped");
    fleet.venue.pause();
    let mut equal = 0;
    for engine in &mut fleet.engines {
        let mut own = Vec::new();
        for token in &tokens {
            own.extend(has_book(&mut client(engine), token).then(|| token.clone()));
        }
        equal += agree(engine, &mut fleet.venue, &own).equal;
    }
    assert_eq!(equal, TOKENS as usize);
    wait_for_status(&fleet, &[], |is_well, lines| {
        let all = "group fleet: 2 members run, 256 of 256 slices have a live owner, 0 are moving";
        is_well && lines[0] == all && lines.len() == 4
    });
    wait_for_status(&fleet, &["--replicas", "2"], |is_well, lines| {
        !is_well && lines[0] == "cluster fleet: 1 groups, 2 expected"
    });
    // Both are killed: no slice has a live owner.
    fleet.engines.iter().for_each(|engine| engine.program.signal(Signal::KILL));
    fleet.engines.clear();
    wait_for_status(&fleet, &[], |is_well, lines| {
        !is_well && lines.iter().any(|line| line.contains("without a live owner: 256 slices"))
    });
}
