//! CPU time and pinning.
use super::*;

#[test]
fn cpu_time_is_measured_and_pinning_reports_failure() {
    let busy = || {
        assert!(!pin_current(100_000));
        let core = super::super::executor::usable_cores()[0];
        assert!(pin_current(core));
        let until = std::time::Instant::now() + std::time::Duration::from_millis(60);
        while std::time::Instant::now() < until {}
        thread_times().into_iter().find(|thread| thread.name == "a busy thread")
    };
    let thread = std::thread::Builder::new().name("a busy thread".into()).spawn(busy).unwrap();
    let time = thread.join().unwrap().unwrap().cpu_ns;
    assert!((1..10 * SECOND_NS).contains(&time), "{time}");
    let stat = "7 (a) b (c) R 1 1 1 0 -1 0 1 0 0 0 12 30 0 0 20 0 5 0";
    assert_eq!(ticks(stat), Some(420_000_000));
    assert!(machine_line().contains(" usable cores, Linux "));
}
