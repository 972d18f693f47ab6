//! The counter of the host that runs the test.
use super::*;

#[test]
fn instructions_are_counted_or_the_reason_is_reported() {
    let counted = InstructionCounter::start().and_then(|mut counter| {
        let before = counter.read()?;
        let sum = (0..100_000_u64).fold(0, |sum, n| std::hint::black_box(sum ^ n));
        std::hint::black_box(sum);
        Ok(counter.read()? - before)
    });
    match counted {
        Ok(count) => assert!(count > 100_000, "{count}"),
        Err(why) => assert!(!why.is_empty() && !why.contains('\n'), "{why}"),
    }
    let refused = explain(&Errno::ACCESS.into());
    assert!(refused.contains("kernel.perf_event_paranoid=2"), "{refused}");
}
