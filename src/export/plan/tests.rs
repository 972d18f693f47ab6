//! Names of tables and of partition keys.
use super::*;

#[test]
fn tables_are_named_or_explained() {
    let all = Tables { trades: true, levels: true, tops: true };
    assert_eq!(Tables::parse("trades,levels,tops"), Ok(all));
    let two = Tables { levels: false, ..all };
    assert_eq!(Tables::parse("tops, trades"), Ok(two));
    assert!(Tables::parse("").is_err());
    assert_eq!(two.count(), 2);
    assert!(Tables::parse("trades,quotes").unwrap_err().starts_with("quotes: expected"));
}

#[test]
fn partition_keys_are_named_once() {
    use PartitionKey::{Day, Venue};
    assert_eq!(PartitionKey::parse_list("day, venue"), Ok(vec![Day, Venue]));
    assert_eq!(PartitionKey::parse_list("venue"), Ok(vec![Venue]));
    assert!(PartitionKey::parse_list("day,day").is_err());
    assert!(PartitionKey::parse_list("hour").unwrap_err().starts_with("hour: expected"));
}
