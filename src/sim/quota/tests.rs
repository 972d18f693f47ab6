//! A sliding window.
use super::*;

#[test]
fn a_window_slides() {
    let mut quota = Quota::new();
    for at in 0..300 {
        assert_eq!(quota.take(Route::Markets, 5_000 + at), Ok(()));
    }
    assert_eq!(quota.take(Route::Markets, 5_400), Err(10));
    assert_eq!(quota.take(Route::Books, 5_400), Ok(()));
    assert_eq!(quota.take(Route::Markets, 12_000), Err(3));
    assert_eq!(quota.take(Route::Markets, 15_500), Ok(()));
    for _ in 0..10_000 {
        assert_eq!(quota.take(Route::Free, 15_500), Ok(()));
    }
}
