//! A command that succeeds and one that fails.
use super::*;

#[test]
fn a_command_gets_the_path_and_its_failure_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b.zst");
    std::fs::write(&path, "x").unwrap();
    assert_eq!(run_with_path("test -f", &path), Ok(()));
    assert_eq!(run_with_path("echo much; rm", &path), Ok(()));
    let failure = run_with_path("echo one >&2; echo two >&2; test -f", &path).unwrap_err();
    assert_eq!(failure, "exit status: 1: two");
    assert!(
        run_with_path("/no/such/program", &path).unwrap_err().starts_with("exit status: 127: ")
    );
}
