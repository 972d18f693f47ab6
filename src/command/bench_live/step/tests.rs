//! Shares of CPU time.
use super::*;

#[test]
fn cpu_time_is_a_share_of_what_passed() {
    let thread = |name: &str, cpu_ns| ThreadTime { name: name.to_owned(), cpu_ns };
    let before = (1_000, vec![thread("shard-0", 100), thread("shard-1", 5)]);
    let after = vec![thread("shard-1", 1_005), thread("shard-0", 600), thread("shard-10", 9)];
    let after = (3_000, after);
    assert_eq!(busy("shard-0", &before, &after), 0.25);
    assert_eq!(busy("shard-1", &before, &after), 0.5);
    assert_eq!(busy("venue-sim", &before, &after), 0.0);
}
