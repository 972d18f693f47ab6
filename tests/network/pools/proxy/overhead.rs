//! What the program adds to a request: the same stand-in asked directly and through it, in one run.
use super::leaks::Program;
use super::*;
use std::net::TcpListener;

const BODY: &[u8] = br#"{"status":"ok","value":42}"#;

/// Answers each request at once; a request is less than one read, and a read no more than one request.
fn stand_in() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let (mut buffer, answer) = ([0; 4096], whole("200 OK", "", BODY));
                while let Ok(1..) = stream.read(&mut buffer) {
                    if stream.write_all(&answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// When callers ask.
#[derive(Clone, Copy)]
enum Pace {
    /// Again as soon as they have an answer.
    Closed,
    /// So long after it: all begin together and stay together, in bursts.
    Bursts(Duration),
    /// After a random pause, so long on average: equally long ones make those bunch that have waited for each other.
    Random(Duration),
}

/// Latencies in microseconds, ascending.
fn ask(address: SocketAddr, path: &str, callers: usize, requests: usize, pace: Pace) -> Vec<f64> {
    let asking = |caller: usize| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            let (mut buffer, mut took) = ([0; 4096], Vec::new());
            let mut random = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(caller as u64 + 1);
            for _ in 0..requests {
                let begun = Instant::now();
                stream.write_all(request.as_bytes()).unwrap();
                let mut received = 0;
                while received < BODY.len() || !buffer[..received].ends_with(BODY) {
                    let count = stream.read(&mut buffer[received..]).unwrap();
                    assert!(count > 0, "the connection ended");
                    received += count;
                }
                took.push(begun.elapsed().as_secs_f64() * 1e6);
                match pace {
                    Pace::Closed => {}
                    Pace::Bursts(pause) => std::thread::sleep(pause),
                    Pace::Random(mean) => {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        std::thread::sleep(
                            mean.mul_f64((random >> 32) as f64 / (1_u64 << 31) as f64),
                        );
                    }
                }
            }
            took
        })
    };
    let asking: Vec<_> = (0..callers).map(asking).collect();
    let mut took: Vec<f64> = asking.into_iter().flat_map(|one| one.join().unwrap()).collect();
    took.sort_unstable_by(f64::total_cmp);
    took
}

#[test]
#[ignore = "a measurement; cargo test --release --test network -- --ignored proxy_overhead --nocapture"]
fn proxy_overhead() {
    let address = stand_in();
    let svc = service(Kind::Http, address, |s| (s.limits.min, s.limits.max) = (100, 100));
    let program = Program::start(&[named("svc", svc)]);
    wait_for("it is there", || Client::connect(program.address).get("/svc").status == 200);
    let at = |took: &[f64], share: f64| took[(took.len() as f64 * share) as usize];
    let pause = Duration::from_millis(50);
    for (name, callers, requests, pace) in [
        ("1 caller, one request after another", 1, 20_000, Pace::Closed),
        ("100 callers, 20 requests a second each", 100, 200, Pace::Random(pause)),
        ("100 callers, 20 requests a second each, in bursts", 100, 200, Pace::Bursts(pause)),
        ("100 callers, one request after another", 100, 500, Pace::Closed),
    ] {
        println!("{name}");
        for round in 1..=3 {
            let direct = ask(address, "/", callers, requests, pace);
            let through = ask(program.address, "/svc", callers, requests, pace);
            let row = |share: f64| {
                let (direct, through) = (at(&direct, share), at(&through, share));
                format!(
                    "direct {direct:>7.0}  through {through:>7.0}  added {:>7.0} us",
                    through - direct
                )
            };
            println!("  round {round}: p50 {}   p99 {}", row(0.5), row(0.99));
        }
    }
}
