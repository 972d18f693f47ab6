//! Descriptors: as many after thousands of faulty requests as before them.
//!
//! The requests are made by a process of its own (this program again), so that nothing else opens
//! descriptors meanwhile; the server is in this one.
use super::server::{Server, whole};
use super::*;
use ringbook::base::random::Random;
use std::process::Command;
use std::sync::Mutex;

const ADDRESS: &str = "RINGBOOK_TEST_DESCRIPTORS";

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// One request in a hundred fails, in one of five ways.
fn faulty() -> Server {
    let random = Mutex::new(Random::new(7));
    Server::start(move |ask, stream| {
        let fault = {
            let mut random = random.lock().unwrap();
            random.chance(1, 100).then(|| random.below(5))
        };
        let bytes = whole("200 OK", "", ask.path.as_bytes());
        match fault {
            None => stream.write_all(&bytes).is_ok(),
            Some(0) => false,
            Some(1) => {
                let _ = stream.write_all(&bytes[..bytes.len() / 2]);
                false
            }
            Some(2) => {
                let _ = stream.write_all(b"nonsense\r\n\r\n");
                false
            }
            Some(3) => {
                // Never answers; the client's timeout closes the connection.
                let _ = stream.read(&mut [0]);
                false
            }
            Some(_) => {
                let _ = stream.write_all(&whole("500 Oh", "Connection: close\r\n", b""));
                false
            }
        }
    })
}

fn requests_leave_nothing(count: usize) {
    let server = faulty();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "pools::descriptors::asker",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ADDRESS, format!("{} {count}", server.address))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{complained}");
    let line = printed.lines().find_map(|line| line.split_once("asked ")).unwrap().1;
    println!("asked {line}");
    assert!(line.starts_with(&format!("{count} ")), "{printed}");
    // Nearly all came in, the repeated ones twice; fresh connections die too and are not asked again.
    assert!(server.requests() >= count * 99 / 100, "{}", server.requests());
}

#[test]
fn three_thousand_faulty_requests_leave_no_descriptor() {
    requests_leave_nothing(3_000);
}

#[test]
#[ignore = "100,000 requests; cargo test --release --test network -- --ignored a_hundred_thousand --nocapture"]
fn a_hundred_thousand_faulty_requests_leave_no_descriptor() {
    requests_leave_nothing(100_000);
}

#[test]
#[ignore = "the other process of the tests above"]
fn asker() {
    let Ok(task) = std::env::var(ADDRESS) else { return };
    let (address, count) = task.split_once(' ').unwrap();
    let (address, count) = (address.parse().unwrap(), count.parse::<usize>().unwrap());
    run(async move {
        let asked = service(Kind::Http, address, |s| {
            s.limits.max = 20;
            // Long enough for the answers of a machine that has other work.
            s.limits.request_timeout_ns = 5 * S;
        });
        // What the executor and the resolver open, they open now.
        let (warm, pool) = manage(asked.clone(), None);
        let _ = pool.get("/warm").await;
        assert_eq!(warm.stop(S).await, []);
        drop((warm, pool));
        pause(300).await;
        let before = descriptors();
        let (manager, pool) = manage(asked, None);
        let ask = |place: usize| {
            let pool = Rc::clone(&pool);
            async move {
                let mut failed = 0;
                for round in 0..count / 40 {
                    let path = format!("/{place}/{round}");
                    match pool.get(&path).await {
                        Ok(response) if response.status == 200 => {
                            assert_eq!(response.body, path.as_bytes());
                        }
                        Ok(response) => assert_eq!(response.status, 500),
                        Err(error) => {
                            let kind = error.kind().name();
                            assert!(["broken", "protocol", "timeout"].contains(&kind), "{error}");
                            failed += 1;
                        }
                    }
                }
                failed
            }
        };
        let failed: usize = concurrently(40, ask).await.into_iter().sum();
        let report = pool.report();
        let during = descriptors();
        assert_eq!(manager.stop(S).await, []);
        drop((manager, pool));
        pause(300).await;
        let after = descriptors();
        println!(
            "asked {count} requests: {failed} failed {:?}, {} repeated, {} opened, descriptors {before} {during} {after}",
            report.errors, report.repeated, report.opened
        );
        assert_eq!(before, after, "descriptors");
        assert_eq!(report.requests, count as u64);
        assert_eq!(report.failed, failed as u64);
        assert!(failed > 0 && failed < count / 50, "{failed}");
        assert!(report.opened > 1 && report.peak_in_use <= 20);
    });
}
