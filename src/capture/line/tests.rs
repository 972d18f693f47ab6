//! Records written and read back, and other lines.
use super::*;
use proptest::prelude::*;

const STAMP: Stamp = Stamp { receive_ns: 1_790_491_135_816_123_456, connection: 7, sequence: 42 };

fn line(write: impl Fn(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    let line = String::from_utf8(out).unwrap();
    assert_eq!(line.find('\n'), Some(line.len() - 1), "{line:?}");
    // Other tools read captures as JSON.
    serde_json::from_str::<serde_json::Value>(&line).expect(&line);
    line.trim_end_matches('\n').to_owned()
}

fn text_of(record: &Record<'_>) -> String {
    assert_eq!((record.receive_ns, record.connection), (Some(STAMP.receive_ns), Some(7)));
    match &record.what {
        What::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_text_is_restored_byte_for_byte() {
    for (frame, kind) in [
        (r#"{"market":"0xa1", "x":[1,{"y":"}"}]}"#, 't'),
        ("[]", 't'),
        ("{} ", 't'),
        (" [ ]", 't'),
        ("{\"q\":\"\u{e9}\\u00e9\\n\"}", 't'),
        ("PONG", 'x'),
        ("", 'x'),
        ("12", 'x'),
        ("\"a\"", 'x'),
        ("{\"a\":\n1}", 'x'),
        ("{\"a\":1", 'x'),
        ("{\"a\" 1}", 'x'),
        ("{\"a\":tru}", 'x'),
        ("{}}", 'x'),
        ("tab\t quote\" back\\ bell\u{7} \u{1f600}", 'x'),
    ] {
        let line = line(|out| write_text(out, STAMP, frame));
        let prefix = format!(r#"{{"t":1790491135816123456,"c":7,"s":42,"k":"{kind}","f":"#);
        assert!(line.starts_with(&prefix), "{line}");
        assert_eq!(text_of(&Record::read(&line)), frame);
    }
}

proptest! {
    #[test]
    fn any_text_and_any_bytes_come_back(frame in ".*|[\\[{\"}\\]:,a\\\\ \n]*", bytes: Vec<u8>) {
        let written = line(|out| write_text(out, STAMP, &frame));
        prop_assert_eq!(text_of(&Record::read(&written)), frame);
        let written = line(|out| write_binary(out, STAMP, &bytes));
        prop_assert_eq!(Record::read(&written).what, What::Binary(bytes));
    }
}

#[test]
fn connection_events_are_restored() {
    fn what(line: &str) -> What<'_> {
        Record::read(line).what
    }
    assert_eq!(what(&line(|out| write_sent(out, STAMP, "PING"))), What::Sent);
    assert_eq!(
        what(&line(|out| write_opened(out, STAMP, "wss://\"x\""))),
        What::Opened { from: None }
    );
    assert_eq!(what(&line(|out| write_ended(out, STAMP, "reset\nby peer"))), What::Ended);
    assert_eq!(what(&line(|out| write_lost(out, STAMP, 12))), What::Lost(12));
    assert_eq!(what(r#"{"t":1,"c":2,"s":3,"k":"l"}"#), What::Lost(1));
    assert_eq!(what(r#"{"t":1,"c":2,"s":3,"k":"zz","q":{}}"#), What::UnknownKind);
    assert_eq!(Record::read(r#"{"t":1,"s":3,"k":"l","n":5}"#).connection, None);
}

#[test]
fn other_key_orders_and_spaces_are_accepted() {
    let line =
        r#"{ "k" : "t", "f" : {"market":"0xa1","t":5}, "s":42, "c":7 , "t":1790491135816123456 }"#;
    assert_eq!(text_of(&Record::read(line)), r#"{"market":"0xa1","t":5}"#);
    let line = r#"{"t":1790491135816123456,"c":7,"s":42,"k":"t","f":[],"more":1}"#;
    assert_eq!(text_of(&Record::read(line)), "[]");
}

#[test]
fn damaged_records_differ_from_frames() {
    for line in [
        r#"{"t":1,"c":2,"s":3,"k":"t","f":{"a":1}"#,
        r#"{"t":1,"c":2,"s":3,"k":"t"}"#,
        r#"{"t":1,"c":2,"s":3,"k":"x","f":7}"#,
        r#"{"t":1,"c":2,"s":3,"k":"b","f":"%"}"#,
        r#"{"t":-1,"c":2,"s":3,"k":"t","f":7}"#,
    ] {
        let record = Record::read(line);
        // A frame without its last bracket may have been sent so.
        let inner = matches!(&record.what, What::Text(text) if text.ends_with(":1"));
        assert!(inner || matches!(record.what, What::Broken(_)), "{line}: {record:?}");
    }
    for frame in ["PONG", "[1]", r#"{"market":"0x","raw":"x"}"#, r#"{"raw":1,"event_type":"book"}"#]
    {
        assert_eq!(Record::read(frame), Record::raw(frame));
    }
}

#[test]
fn wrapper_lines_give_their_frame_and_time() {
    let read = |line: &'static str| {
        let record = Record::read(line);
        let What::Text(text) = record.what else { panic!("{line}") };
        (record.receive_ns, text.into_owned())
    };
    let text = |ns: Option<u64>, text: &str| (ns, text.to_owned());
    assert_eq!(read(r#"{"recv_ns":5,"conn":1,"raw":"{\"a\":1}"}"#), text(Some(5), "{\"a\":1}"));
    assert_eq!(read(r#"{"raw":"PONG","recv_ms":"7"}"#), text(Some(7_000_000), "PONG"));
    assert_eq!(read(r#"{"msg_index":0,"msg":{"a":[1]}}"#), text(None, r#"{"a":[1]}"#));
    assert_eq!(read(r#"{"msg":5}"#), text(None, r#"{"msg":5}"#));
    let both = r#"{"event_type":"book","asset_id":"1","raw":"{\"a\":1}","recv_ns":5}"#;
    assert_eq!(read(both), text(Some(5), "{\"a\":1}"));
    let venue = r#"{"event_type":"news","raw":"words"}"#;
    assert_eq!(read(venue), text(None, venue));
}

#[test]
fn annotations_of_a_shard_are_restored() {
    for note in [
        AnnotationRecord::Begun,
        AnnotationRecord::Books,
        AnnotationRecord::Described,
        AnnotationRecord::Dropped,
        AnnotationRecord::Closed,
        AnnotationRecord::Switch,
        AnnotationRecord::Progress,
        AnnotationRecord::Matched,
        AnnotationRecord::TakenOver,
        AnnotationRecord::Asked,
        AnnotationRecord::Housekeeping,
        AnnotationRecord::Proof,
        AnnotationRecord::Stopping,
    ] {
        let line = line(|out| write_annotation(out, STAMP, note, 3, r#","a":["1"]"#));
        assert!(line.contains(r#""d":3,"a":["1"]"#), "{line}");
        assert_eq!(Record::read(&line).what, What::Annotation(note));
    }
    let opened =
        line(|out| write_annotation(out, STAMP, AnnotationRecord::Opened, 0, r#","from":12"#));
    assert_eq!(Record::read(&opened).what, What::Opened { from: Some(12) });
    let frame = r#"{"market":"0xa1"}"#;
    assert_eq!(
        Record::read(&line(|out| write_text_skipped(out, STAMP, frame))).what,
        What::Skipped
    );
    for answer in ["[{\"market\":\"0x1\"}]", "[\n]", "oops\""] {
        let line = line(|out| write_answer(out, STAMP, (1, "7"), answer));
        assert_eq!(Record::read(&line).what, What::Answer(answer.into(), 7), "{line}");
        let earlier = line.replace(r#","q":7"#, "");
        assert_eq!(Record::read(&earlier).what, What::Answer(answer.into(), u32::MAX), "{line}");
    }
    let lost = line(|out| write_lost(out, Stamp { connection: 0, ..STAMP }, 5));
    let record = Record::read(&lost);
    assert_eq!((record.connection, record.what), (None, What::Lost(5)));
}
