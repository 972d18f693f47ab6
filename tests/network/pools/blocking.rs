//! Pools for other threads: the blocking handle.
use super::server::{Server, echo_path};
use super::*;
use ringbook::pool::blocking::BlockingPools;
use std::time::Duration;

#[test]
fn threads_outside_of_the_engine_ask_and_block() {
    let server = Server::start(|ask, stream| {
        if ask.path == "/slow" {
            std::thread::sleep(Duration::from_millis(400));
        }
        echo_path(ask, stream)
    });
    let asked = service(Kind::Http, server.address, |s| {
        s.limits.max = 4;
        s.limits.request_timeout_ns = 200 * MS;
    });
    let pools = BlockingPools::start(vec![asked.clone()], None).unwrap();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let handle = pools.handle();
            std::thread::spawn(move || {
                for round in 0..25 {
                    let path = format!("/{thread}/{round}");
                    assert_eq!(handle.get("test", &path).unwrap().body, path.as_bytes());
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let handle = pools.handle();
    assert_eq!(kind_of(handle.get("test", "/slow")), "timeout");
    let unknown = handle.get("other", "/").unwrap_err();
    assert_eq!(unknown.to_string(), "there is no service named `other`");
    assert_eq!(handle.post_json("test", "/post", b"{}".to_vec()).unwrap().body, b"/post");
    let report = handle.reports().unwrap().remove(0);
    assert_eq!((report.requests, report.failed), (202, 1));
    assert!(report.peak_in_use <= 4 && report.reuse_rate > 0.9, "{report:?}");
    assert_eq!(pools.stop(S).unwrap(), []);
    let late = handle.get("test", "/").unwrap_err();
    assert_eq!(late, PoolError::Busy, "the pool has stopped");
    let twice = BlockingPools::start(vec![asked.clone(), asked], None);
    assert!(twice.unwrap_err().0.contains("one name"));
}

#[test]
fn a_request_under_way_is_waited_for_by_the_stop() {
    let (begin, begun) = std::sync::mpsc::channel();
    let server = Server::start(move |ask, stream| {
        begin.send(()).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        echo_path(ask, stream)
    });
    let pools =
        BlockingPools::start(vec![service(Kind::Http, server.address, |_| ())], None).unwrap();
    let handle = pools.handle();
    let asking = std::thread::spawn(move || handle.get("test", "/x"));
    begun.recv().unwrap();
    assert_eq!(pools.stop(60 * S).unwrap(), []);
    assert_eq!(asking.join().unwrap().unwrap().body, b"/x");
}
