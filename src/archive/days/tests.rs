//! Days, gaps and markets of folders.
use super::*;
use crate::archive::folder::tests::write_run;

/// 2026-11-27T00:00:00Z
const MIDNIGHT: u64 = 1_795_737_600 * SECOND_NS;

#[test]
fn days_have_their_records_gaps_and_markets() {
    let folder = tempfile::tempdir().unwrap();
    let books = |at: u64, market: &str, slug: &str| {
        format!(
            r#"{{"t":{at},"c":1,"s":0,"k":"m","d":0,"books":[{{"m":"{market}","a":"7{slug}","n":false,"s":"{slug}"}}]}}"#
        )
    };
    let frame = |at: u64| {
        format!(
            r#"{{"t":{at},"c":1,"s":1,"k":"t","f":{{"market":"0xa1","asset_id":"7","timestamp":"1","event_type":"book","bids":[],"asks":[]}}}}"#
        )
    };
    let hour = 3_600 * SECOND_NS;
    let late = MIDNIGHT - hour;
    let first = [books(late, "0xa1", "rain"), frame(late + 1), frame(MIDNIGHT + hour)];
    let begun = MIDNIGHT + 3 * hour;
    let second = [books(begun, "0xa1", "rain"), books(begun, "0xb2", "snow"), frame(begun + 1)];
    write_run(folder.path(), late - 1, &first);
    write_run(folder.path(), begun - 1, &second);
    let lost = format!(
        r#"{{"event":"gap","from":{begun},"to":{begun},"shard":0,"frames":7,"cause":"slow"}}"#
    );
    let manifest = folder.path().join("manifest.ndjson");
    let known = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, format!("{known}{lost}\n")).unwrap();
    let (days, markets) = list(&[folder.path().to_owned()], true, &Arc::default()).unwrap();
    let shown = |row: &DayRow| {
        let DayRow { day, venue, records, gaps, gap_ns, markets, files, .. } = row;
        format!("{day} {venue} {files} {records} {gaps} {} {markets:?}", gap_ns / hour)
    };
    let found: Vec<String> = days.iter().map(shown).collect();
    let expected =
        ["2026-11-26 polymarket 1 2 0 0 Some(1)", "2026-11-27 polymarket 2 4 1 1 Some(2)"];
    assert_eq!(found, expected);
    assert_eq!((days[0].from, days[1].to), (late, begun + 1));
    let partial = |row: &DayRow| (row.partial_gaps, row.frames_lost);
    assert_eq!((partial(&days[0]), partial(&days[1])), ((0, 0), (1, 7)));
    assert_eq!(days.iter().map(|row| row.bytes).sum::<u64>(), stored(folder.path()));
    let row =
        |row: &MarketRow| format!("{} {} {:?} {:?}", row.market, row.slug, row.tokens, row.days);
    let found: Vec<String> = markets.iter().map(row).collect();
    let expected = [
        r#"0xa1 rain ["7rain"] ["2026-11-26", "2026-11-27"]"#,
        r#"0xb2 snow ["7snow"] ["2026-11-27"]"#,
    ];
    assert_eq!(found, expected);
    let (days, markets) = list(&[folder.path().to_owned()], false, &Arc::default()).unwrap();
    assert!(markets.is_empty() && days.iter().all(|row| row.markets.is_none()));
}

fn stored(folder: &std::path::Path) -> u64 {
    file::segments(folder).unwrap().iter().map(|path| std::fs::metadata(path).unwrap().len()).sum()
}
