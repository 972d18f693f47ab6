//! Addresses, right and wrong.
use super::*;

#[test]
fn an_address_names_brokers_topics_and_parameters() {
    let options = BusOptions::parse(
        "kafka://a:1,[::1]:9092/md.live?engine=e-1&partitions=3&replication=2&compression=none&buffer_mib=2&tops_ms=0&stall_seconds=3",
    );
    let options = options.unwrap();
    assert_eq!(options.stall_ns, 3 * SECOND_NS);
    assert_eq!((&*options.servers, &*options.prefix), ("a:1,[::1]:9092", "md.live"));
    assert_eq!((&*options.engine, options.partitions, options.replication), ("e-1", 3, 2));
    assert_eq!((options.compression, options.buffer_bytes, options.tops_ns), ("none", 2 << 20, 0));
    let options = BusOptions::parse("kafka://a:1/x").unwrap();
    assert_eq!((&*options.engine, options.compression), ("ringbook", "lz4"));
}

#[test]
fn what_is_no_address_is_one_line_with_the_address() {
    for (address, why) in [
        ("tcp://a:1/x", "no address of a broker"),
        ("kafka://a/x", "HOST:PORT"),
        ("kafka://:1/x", "HOST:PORT"),
        ("kafka://a:0/x", "HOST:PORT"),
        ("kafka://a:1", "after a slash"),
        ("kafka://a:1/x y", "after a slash"),
        ("kafka://a:1/x?partitions=0", "partitions=0: must be 1 to 4096"),
        ("kafka://a:1/x?compression=zip", "must be lz4 or none"),
        ("kafka://a:1/x?engine=", "letters"),
        ("kafka://a:1/x?sasl=1", "`sasl` is no parameter; there are engine,"),
    ] {
        let line = BusOptions::parse(address).unwrap_err().to_string();
        let is_right = line.starts_with(address) && line.contains(why) && !line.contains('\n');
        assert!(is_right, "{line}");
    }
}
