//! A hint to the processor: memory that is needed soon.
//!
//! Runs on:  any (pure).

/// Bytes that come from memory at once.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

/// Has the cache lines of `value` fetched, without waiting for them. Nothing on other processors than x86-64.
#[inline(always)]
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "the instruction has no safe form")
)]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let first = std::ptr::from_ref(value).cast::<i8>();
        for at in (0..size_of::<T>()).step_by(LINE_BYTES) {
            // SAFETY: the processor ignores a prefetch that would fault, and the address is within `value`.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(at)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
