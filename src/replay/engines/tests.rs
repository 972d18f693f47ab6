//! Starts of engines.
use super::*;

#[test]
fn an_engine_starts_where_one_of_its_shards_starts_again_or_their_number_is_another() {
    let mut engines = Engines::default();
    let mut start = |shard: u16, shards: u16| {
        let line = format!(r#"{{"t":1,"c":0,"s":0,"k":"p","d":{shard},"shards":{shards}}}"#);
        engines.on_shard_start(&line)
    };
    let starts = [(0, 2), (1, 2), (1, 2), (0, 2), (0, 1), (1, 2), (0, 2)];
    let found = starts.map(|(shard, shards)| start(shard, shards));
    assert_eq!(found, [true, false, true, false, true, true, false]);
}
