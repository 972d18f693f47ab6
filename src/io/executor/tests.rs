//! Refusals of the kernel.
use super::*;

#[test]
fn what_the_kernel_refuses_has_its_remedy() {
    let full = std::io::Error::from(Errno::AGAIN);
    let line = no_thread("capture", &full).to_string();
    assert!(line.starts_with("cannot start the thread capture: "), "{line}");
    assert!(line.contains("`ulimit -u 4096`"), "{line}");
    for error in [Errno::PERM, Errno::NOSYS, Errno::ACCESS] {
        let line = no_thread("control", &std::io::Error::from(error)).to_string();
        assert!(line.contains("io_uring_enter and io_uring_register"), "{line}");
    }
    check_pinning(usable_cores()[0]).unwrap();
    let line = check_pinning(100_000).expect_err("no such core").to_string();
    assert!(line.contains("sched_setaffinity"), "{line}");
}

#[test]
fn a_thread_that_cannot_be_set_up_is_an_error_of_its_start() {
    check_host().unwrap();
    let lost = Executor::start("lost", Some(100_000), || async {});
    let line = lost.expect_err("no such core").to_string();
    assert!(line.starts_with("cannot start the thread lost: "), "{line}");
    let executor = Executor::start("found", None, || async { 7 }).unwrap();
    assert_eq!(executor.join(), Ok(7));
    let executor = Executor::start("patient", None, || sleep(300_000_000)).unwrap();
    assert!(executor.join_within(1).is_err());
    let executor = Executor::start("quick", None, || sleep(1)).unwrap();
    assert_eq!(executor.join_within(60 * SECOND_NS), Ok(()));
}
