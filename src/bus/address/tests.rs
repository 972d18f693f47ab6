//! Addresses, right and wrong.
use super::*;

#[test]
fn an_address_names_brokers_topics_and_parameters() {
    let options = BusOptions::parse(
        "kafka://a:1,[::1]:9092/md.live?engine=e-1&partitions=3&replication=2&compression=none&buffer_mib=2&tops_ms=0&stall_seconds=3&config=/etc/a%26b",
    );
    let options = options.unwrap();
    assert_eq!(options.stall_ns, 3 * SECOND_NS);
    assert_eq!(options.file, Some("/etc/a&b".into()));
    assert_eq!((&*options.servers, &*options.prefix), ("a:1,[::1]:9092", "md.live"));
    assert_eq!((&*options.engine, options.partitions, options.replication), ("e-1", 3, 2));
    assert_eq!((options.compression, options.buffer_bytes, options.tops_ns), ("none", 2 << 20, 0));
    let options = BusOptions::parse("kafka://a:1/x").unwrap();
    assert_eq!((&*options.engine, options.compression), ("ringbook", "lz4"));
    assert_eq!(BusOptions::parse("kafka://a:1/x?compression=zstd").unwrap().compression, "zstd");
}

#[test]
fn a_file_has_properties_and_no_error_has_a_value() {
    let text = "# of the broker\n\nsecurity.protocol = sasl_plaintext\r\nsasl.password= a = b#c \nunknown=\n";
    let wanted =
        [("security.protocol", "sasl_plaintext"), ("sasl.password", "a = b#c"), ("unknown", "")];
    assert_eq!(properties(text).unwrap(), wanted);
    for (text, why) in [
        ("a=b\nsecret", "line 2 is no NAME=VALUE"),
        ("=secret", "line 1 is no NAME=VALUE"),
        ("group.id=secret", "group.id is set by ringbook"),
    ] {
        let line = properties(text).unwrap_err();
        assert!(line.starts_with(why) && !line.contains("secret"), "{line}");
    }
}

#[test]
fn what_needs_tls_names_the_feature_that_has_it() {
    for text in [
        "security.protocol=SSL",
        "security.protocol=sasl_ssl",
        "sasl.mechanism=SCRAM-SHA-512",
        "ssl.ca.location=ca.pem",
        "enable.ssl.certificate.verification=false",
    ] {
        let (result, has_tls) = (properties(text), cfg!(feature = "kafka-tls"));
        assert_eq!(result.is_ok(), has_tls, "{text}");
        if let Err(line) = result {
            assert!(line.contains("--features kafka-tls") && !line.contains('\n'), "{line}");
        }
    }
    assert!(properties("security.protocol=sasl_plaintext\nsasl.mechanisms=PLAIN").is_ok());
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
        ("kafka://a:1/x?compression=zip", "must be lz4, zstd or none"),
        ("kafka://a:1/x?engine=", "letters"),
        ("kafka://a:1/x?config=", "name a file"),
        ("kafka://a:1/x?sasl=1", "`sasl` is no parameter; there are engine,"),
    ] {
        let line = BusOptions::parse(address).unwrap_err().to_string();
        let is_right = line.starts_with(address) && line.contains(why) && !line.contains('\n');
        assert!(is_right, "{line}");
    }
}
