//! Repeated errors of accept.
use super::*;

#[test]
fn errors_of_accept_are_one_line_a_minute() {
    let mut errors = AcceptErrors::default();
    let error = std::io::Error::from_raw_os_error(24);
    let lines: Vec<String> =
        (0..1200).filter_map(|i| errors.line("--serve", &error, i * SERVE_STOP_POLL_NS)).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("Too many open files") && !lines[0].contains("more since"));
    assert!(lines[1].contains("(599 more since the last line)"), "{}", lines[1]);
}
