//! Columns that widen, and columns of several shards.
use super::*;
use crate::base::time::SECOND_NS;

#[derive(Debug, Default, PartialEq)]
struct Seen(Vec<u64>);

impl Merge for Seen {
    fn merge(&mut self, later: Self) {
        self.0.extend(later.0);
    }
}

fn of(times: &[u64]) -> Columns<Seen> {
    let mut columns: Columns<Seen> = Columns::new(4);
    times.iter().for_each(|&at_ns| columns.at(at_ns).0.push(at_ns));
    columns
}

fn shown(columns: &Columns<Seen>) -> Vec<(u64, Vec<u64>)> {
    columns.iter().map(|(place, seen)| (place, seen.0.clone())).collect()
}

#[test]
fn columns_widen_with_the_span_and_keep_every_value() {
    let ms = MILLISECOND_NS;
    let mut columns = of(&[4 * ms, 5 * ms, 7 * ms]);
    assert_eq!(columns.width_ns(), ms);
    columns.at(8 * ms).0.push(8 * ms);
    assert_eq!(columns.width_ns(), 2 * ms);
    let expected = [(2, vec![4 * ms, 5 * ms]), (3, vec![7 * ms]), (4, vec![8 * ms])];
    assert_eq!(shown(&columns), expected);
    // Earlier times have columns too.
    columns.at(0).0.push(0);
    assert_eq!((columns.width_ns(), shown(&columns).len()), (4 * ms, 3));
    // A pause of a day takes no memory.
    columns.at(86_400 * SECOND_NS).0.push(1);
    let columns = shown(&columns);
    assert_eq!((columns.len(), columns[0].1.len()), (2, 5));
}

#[test]
fn the_columns_of_shards_are_joined_in_any_order() {
    let ms = MILLISECOND_NS;
    let (a, b) = ([1000 * ms, 1003 * ms], [1001 * ms, 1050 * ms, 1090 * ms]);
    let mut one = of(&a);
    one.join(of(&b));
    let mut other = of(&b);
    other.join(of(&a));
    assert_eq!((one.width_ns(), other.width_ns()), (32 * ms, 32 * ms));
    for columns in [&one, &other] {
        let all: usize = shown(columns).iter().map(|(_, seen)| seen.len()).sum();
        let places: Vec<u64> = columns.iter().map(|(place, _)| place).collect();
        assert_eq!((all, places), (5, vec![31, 32, 34]));
    }
    one.join(Columns::new(4));
    assert_eq!(shown(&one).len(), 3);
}
