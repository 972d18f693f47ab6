//! Lines of days.
use super::*;

#[test]
fn days_have_a_line_each() {
    let row = DayRow {
        folder: "capture".into(),
        day: "2026-11-27".into(),
        venue: "kalshi".into(),
        files: 24,
        records: 1_000_000,
        bytes: 1_234_567_890,
        text_bytes: 12_345_678_901,
        from: 1_795_763_700_000_000_000,
        to: 1_795_767_300_000_000_000,
        gaps: 1,
        gap_ns: 62 * SECOND_NS,
        partial_gaps: 3,
        frames_lost: 0,
        markets: Some(7),
    };
    let expected = "\
folder   day         venue   first     last      files  records  stored     text  gaps  missing  partial  lost
capture  2026-11-27  kalshi  07:15:00  08:15:00     24  1000000  1.2 GB  12.3 GB     1  0:01:02        3     0  7 markets
";
    assert_eq!(day_table(&[row]), expected);
    assert_eq!((size(999), size(1_500)), ("999 B".to_owned(), "1.5 kB".to_owned()));
}
