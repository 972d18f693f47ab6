//! Facts of the host that runs the test.
use super::*;

#[test]
fn the_facts_of_any_linux_are_found() {
    let facts = facts(Duration::from_millis(20));
    assert!(!facts.online.is_empty() && !facts.usable.is_empty(), "{facts:?}");
    assert!(kernel_text::kernel_version(&facts.kernel).is_some(), "{facts:?}");
    assert!(facts.steal.is_some_and(|it| (0.0..=100.0).contains(&it.percent)), "{facts:?}");
    assert!(facts.load.is_some() && facts.swap_bytes.is_some(), "{facts:?}");
    let line = summary();
    assert!(line.contains("; profile ") && line.contains(" ok") && !line.contains('\n'), "{line}");
}
