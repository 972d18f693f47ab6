//! A cluster: engines as processes divide a venue among themselves, through a broker that librdkafka imitates.
//!
//! Runs on:  test threads; the broker on threads of this process.
use crate::books::agree;
use crate::engine::{Engine, count, sum};
use crate::http::Client;
use crate::program::{POLL_INTERVAL, TIMEOUT};
use crate::venue::Venue;
use rdkafka::mocking::MockCluster;
use rustix::process::Signal;
use serde_json::Value;
use std::time::Instant;

const MARKETS: &str = "60";
const TOKENS: u64 = 120;

struct Fleet {
    venue: Venue,
    url: String,
    engines: Vec<Engine>,
    _broker: crate::bus::Mock,
}

/// What one engine has.
#[derive(Debug)]
struct Share {
    live: u64,
    books: u64,
    stats: Value,
}

impl Fleet {
    fn start() -> Self {
        let broker = MockCluster::new(1).unwrap();
        for topic in ["trades", "books", "tops", "markets", "events"] {
            broker.create_topic(&format!("fleet.{topic}"), 3, 1).unwrap();
        }
        broker.create_topic("fleet.slices", 256, 1).unwrap();
        let url = format!("kafka://{}/fleet", broker.bootstrap_servers());
        let venue = Venue::start(&["--plain", "--markets", MARKETS, "--rate", "50"]);
        Self { venue, url, engines: Vec::new(), _broker: broker }
    }

    fn add(&mut self, name: &str) {
        let bus = format!("{}?engine={name}&partitions=3", self.url);
        let flags = ["--shards", "1", "--bus", &bus, "--cluster", "fleet"];
        self.engines.push(Engine::start(&self.venue, &flags));
    }

    fn shares(&mut self) -> Vec<Share> {
        let share = |engine: &mut Engine| {
            let stats = engine.stats();
            Share { live: sum(&stats, "books_live"), books: sum(&stats, "books"), stats }
        };
        self.engines.iter_mut().map(share).collect()
    }

    /// Waits until every engine has a share, and each book is live at one of them and at no other.
    fn settle(&mut self, what: &str) {
        let begun = Instant::now();
        loop {
            let shares = self.shares();
            let live: u64 = shares.iter().map(|share| share.live).sum();
            let books: u64 = shares.iter().map(|share| share.books).sum();
            let slices = |share: &Share| count(&share.stats, "/cluster/slices_followed");
            let all = shares.iter().map(slices).sum::<u64>() == 256;
            let is_divided = shares.iter().all(|share| slices(share) > 0 && share.books > 0);
            if all && is_divided && live == TOKENS && books == TOKENS {
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

#[test]
fn engines_divide_the_markets_whoever_comes_and_goes() {
    let mut fleet = Fleet::start();
    ["east", "north", "west"].into_iter().for_each(|name| fleet.add(name));
    fleet.settle("three engines");
    // One dies: the others have its markets after the session has ended.
    let dead = fleet.engines.remove(1);
    dead.program.signal(Signal::KILL);
    fleet.settle("one killed");
    fleet.add("south");
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
}
