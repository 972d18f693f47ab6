//! Envelopes and prefixes of other tools, as tables.
use super::*;

const NS: u64 = 1_786_000_000_123_000_000;
const FRAME: &str = r#"{"event_type":"book","asset_id":"1"}"#;

fn frame_in(line: &str) -> Option<(Option<u64>, String)> {
    match read(line)? {
        (facts, Content::Frame(frame)) => Some((facts.receive_ns, frame.into_owned())),
        _ => None,
    }
}

#[test]
fn a_frame_is_found_in_every_envelope_under_every_key() {
    let quoted = sonic_rs::to_string(FRAME).unwrap();
    let twice = sonic_rs::to_string(&quoted).unwrap();
    let list = format!("[{FRAME}]");
    let quoted_list = sonic_rs::to_string(&list).unwrap();
    for name in ["raw", "data", "payload", "message", "frame", "body", "Raw_Message", "rawMsg"] {
        for (value, inside) in [
            (FRAME, FRAME),
            (&quoted, FRAME),
            (&twice, FRAME),
            (&list, &list),
            (&quoted_list, &list),
            (&format!(r#"{{"payload":{quoted}}}"#), FRAME),
        ] {
            for line in [
                format!(r#"{{"{name}":{value}}}"#),
                format!(r#"{{ "{name}" : {value} , "seq" : 7 }}"#),
                format!(r#"{{"source":"ws","type":"message","{name}":{value},"id":9}}"#),
            ] {
                assert_eq!(frame_in(&line), Some((None, inside.to_owned())), "{line}");
            }
        }
    }
}

#[test]
fn the_receive_time_is_read_under_usual_keys() {
    for (time, ns) in [
        (r#""recv_ns":1786000000123000000"#, NS),
        (r#""recvTsNs":"1786000000123000000""#, NS),
        (r#""recv_us":1786000000123000"#, NS),
        (r#""received_ms":1786000000123"#, NS),
        (r#""received_at":"2026-08-06T07:06:40.123Z""#, NS),
        (r#""receivedAt":"2026-08-06T07:06:40.123+00:00""#, NS),
        (r#""received_at":"2026-08-06 07:06:40.123""#, NS),
        (r#""local_timestamp":"2026-08-06T07:06:40.123000Z""#, NS),
        (r#""recv_time":1786000000.123"#, NS),
        (r#""ts":1786000000123"#, NS),
        (r#""timestamp":1786000000123000"#, NS),
        (r#""time":"1786000000.123""#, NS),
        (r#""t":1786000000"#, NS - 123_000_000),
        (r#""timestamp":1,"recv_ts":1786000000123"#, NS),
        (r#""recv_ts":1786000000123,"timestamp":"1700000000000""#, NS),
    ] {
        let line = format!(r#"{{{time},"data":{FRAME}}}"#);
        assert_eq!(frame_in(&line), Some((Some(ns), FRAME.to_owned())), "{line}");
    }
    for time in [r#""received_at":"yesterday""#, r#""ts":null"#, r#""ts":-5"#, r#""ts":"""#] {
        let line = format!(r#"{{{time},"data":{FRAME}}}"#);
        assert_eq!(frame_in(&line), Some((None, FRAME.to_owned())), "{line}");
    }
}

#[test]
fn a_prefix_is_removed_and_its_time_read() {
    let quoted = sonic_rs::to_string(FRAME).unwrap();
    for (prefix, ns) in [
        ("1786000000123 ", Some(NS)),
        ("1786000000123\t", Some(NS)),
        ("1786000000123,", Some(NS)),
        ("1786000000123|", Some(NS)),
        ("1786000000.123: ", Some(NS)),
        ("2026-08-06T07:06:40.123Z ", Some(NS)),
        ("2026-08-06 07:06:40.123 ", Some(NS)),
        ("[2026-08-06T07:06:40.123Z] ", Some(NS)),
        ("[2026-08-06T07:06:40.123Z] INFO ws: ", Some(NS)),
        ("2026-08-06T07:06:40.123Z recv: ", Some(NS)),
        ("recv 1786000000123 ", Some(NS)),
        ("data: ", None),
        ("<- ", None),
        ("  ", None),
    ] {
        for value in [FRAME, &quoted, &format!(r#"{{"data":{quoted}}}"#)] {
            let line = format!("{prefix}{value}");
            let expected = match prefix.trim().is_empty() && value == FRAME {
                // Whitespace before a frame is no envelope.
                true => None,
                false => Some((ns, FRAME.to_owned())),
            };
            assert_eq!(frame_in(&line), expected, "{line}");
        }
    }
    let pair = format!("[1786000000123,{FRAME}]");
    assert_eq!(frame_in(&pair), Some((Some(NS), FRAME.to_owned())));
    let pair = format!("[\"2026-08-06T07:06:40.123Z\", {quoted}]");
    assert_eq!(frame_in(&pair), Some((Some(NS), FRAME.to_owned())));
}

#[test]
fn venue_frames_and_other_texts_are_no_envelopes() {
    for line in [
        FRAME,
        "PONG",
        "[]",
        "[1]",
        "[1786000000123]",
        "[1786000000123,5]",
        r#"[{"event_type":"book"}]"#,
        r#"{"data":5}"#,
        r#"{"data":"hello"}"#,
        r#"{"data":{"a":1}"#,
        r#"{"event":"connected"}"#,
        r#"{"event_type":"best_bid_ask","market":"0xab","event":{"event_type":"book"}}"#,
        "\"PONG\"",
        "hello {name}",
        "",
    ] {
        assert_eq!(read(line), None, "{line}");
    }
}

/// The decoder decides what a message without a known `type` may have changed: it needs `sid`, `seq` and `msg`.
#[test]
fn a_message_without_a_known_type_is_no_envelope_of_its_content() {
    let delta =
        r#"{"market_ticker":"X-A","price_dollars":"0.5000","delta_fp":"3.00","side":"yes"}"#;
    for content in [delta, &format!("[{delta}]"), "[]", "{}", r#""x""#, "7", "null", r#"{"a":1}"#] {
        for before in [
            r#""sid":1,"seq":7"#,
            r#""type":null,"sid":1,"seq":7"#,
            r#""type":7,"sid":1,"seq":7"#,
            r#""type":"orderbook_change","sid":1,"seq":7"#,
            r#""type":"x","seq":7"#,
            r#""type":"orderbook_change","seq":7,"ts":1786000000123"#,
            r#""seq":7,"ts":1786000000123"#,
        ] {
            let line = format!(r#"{{{before},"msg":{content}}}"#);
            assert_eq!(read(&line), None, "{line}");
            for key in ["data", "raw", "message", "msg"] {
                for recorded in [line.clone(), sonic_rs::to_string(&line).unwrap()] {
                    let recorded = format!(r#"{{"recv_ns":{NS},"{key}":{recorded}}}"#);
                    assert_eq!(frame_in(&recorded), Some((Some(NS), line.clone())), "{recorded}");
                }
            }
        }
    }
    for line in [
        format!(r#"{{"msg":{delta}}}"#),
        format!(r#"{{"type":"orderbook_change","msg":{delta}}}"#),
        format!(r#"{{"type":"orderbook_delta","sid":1,"seq":7,"data":{delta}}}"#),
        format!(r#"{{"sid":1,"seq":7,"payload":{delta}}}"#),
    ] {
        assert_eq!(read(&line), None, "{line}");
    }
    // Envelopes with a key of the same name.
    for (value, frame) in [(FRAME, FRAME), ("[]", "[]"), (r#""PONG""#, "PONG")] {
        let line = format!(r#"{{"recv_ns":{NS},"msg":{value}}}"#);
        assert_eq!(frame_in(&line), Some((Some(NS), frame.to_owned())), "{line}");
    }
    let line = format!(r#"{{"sid":4,"seq":9,"msg":{FRAME}}}"#);
    assert_eq!(frame_in(&line), Some((None, FRAME.to_owned())), "{line}");
}

#[test]
fn connection_events_are_read() {
    let what = |line: &'static str| read(line).map(|(facts, content)| (facts.connection, content));
    for (event, content) in [
        ("connected", Content::Opened),
        ("ws_open", Content::Opened),
        ("reconnected", Content::Opened),
        ("disconnected", Content::Ended),
        ("connection_closed", Content::Ended),
        ("gap", Content::Lost),
    ] {
        let line = format!(r#"{{"recv_ns":5,"conn":3,"event":"{event}"}}"#);
        let (facts, seen) = read(&line).unwrap();
        assert_eq!((facts.connection, seen), (Some(3), content), "{event}");
    }
    assert_eq!(what(r#"{"recv_ns":5,"event":"snapshot"}"#), None);
    // The key `event` is a recorder's, alone too; `type` may be a venue's.
    assert_eq!(what(r#"{"event":"disconnected"}"#), Some((None, Content::Ended)));
    assert_eq!(what(r#"{"event":"gap"}"#), Some((None, Content::Lost)));
    assert_eq!([what(r#"{"event":"open"}"#), what(r#"{"type":"end"}"#)], [None, None]);
    let named = what(r#"{"conn":"a","event":"open"}"#).unwrap().0;
    assert_ne!(named, what(r#"{"conn":"b","event":"open"}"#).unwrap().0);
}

#[test]
fn the_start_of_json_after_a_prefix_is_found_in_truncated_lines_too() {
    for (line, at) in [
        (r#"1786000000123 {"market":"0xab"#, 14),
        (r#"2026-08-06 07:06:40 [{"market":"#, 20),
        ("1786000000123 {", 14),
        ("PONG", 0),
        (r#"{"a":1}"#, 0),
        (r#"[{"a":1}] {"b":2}"#, 0),
    ] {
        assert_eq!(prefix(line.as_bytes()), at, "{line}");
    }
}
