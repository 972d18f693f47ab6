//! Images that a book continues from.
use super::*;
use std::fmt::Write as _;

/// Blocks of records in one file with its index.
fn capture(folder: &std::path::Path, blocks: &[&[(u64, &str)]]) -> Source {
    let path = folder.join("a.ndjson.zst");
    let (mut bytes, mut index) = (Vec::new(), String::new());
    for records in blocks {
        let mut block = Block { offset: bytes.len() as u64, ..Block::default() };
        let mut text = String::new();
        for (at, rest) in *records {
            block.add(*at);
            writeln!(text, r#"{{"t":{at},"c":1,"s":0,{rest}}}"#).unwrap();
        }
        let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
        (block.bytes, block.text_bytes) = (packed.len() as u64, text.len() as u64);
        bytes.extend(packed);
        index += &block.to_line();
    }
    std::fs::write(&path, bytes).unwrap();
    std::fs::write(folder.join("a.index"), index).unwrap();
    Source::Path(path)
}

#[test]
fn the_last_image_of_a_market_before_a_time_is_found_by_each_of_its_names() {
    let image = |market: &str| {
        let books = format!(
            r#"[{{"m":"0x{market}","a":"7{market}","s":"is-{market}"}},{{"m":"0x{market}","a":"8{market}"}}]"#
        );
        format!(r#""k":"c","d":1,"shards":3,"hashes":"all","books":{books}"#)
    };
    let (a, b) = (image("a1"), image("b2"));
    // A text with the same bytes is no image, nor is a digest.
    let text = format!(r#""k":"x","f":{}"#, sonic_rs::to_string(&a).unwrap());
    let digest = r#""k":"z","d":1,"a":"7a1","z":"1f""#;
    let folder = tempfile::tempdir().unwrap();
    let blocks: [&[(u64, &str)]; 3] = [
        &[(10, &a), (11, &b)],
        &[(20, &a), (30, &a), (31, digest)],
        &[(40, &text), (41, &b), (42, r#""k":"i","d":0"#)],
    ];
    let file = capture(folder.path(), &blocks);
    let files = [&file];
    let at = |name: &str, times: RangeInclusive<u64>| {
        last_image(&files, name, &times, &Arc::default()).map(|image| image.at_ns)
    };
    for name in ["0xa1", "7a1", "8a1", "is-a1"] {
        assert_eq!(at(name, 0..=100), Some(30), "{name}");
    }
    assert_eq!((at("0xa1", 0..=29), at("0xa1", 0..=19)), (Some(20), Some(10)));
    assert_eq!((at("0xa1", 31..=100), at("0xa1", 0..=9)), (None, None));
    assert_eq!((at("0xb2", 0..=40), at("0xb2", 0..=41)), (Some(11), Some(41)));
    assert_eq!((at("a1", 0..=100), at("0xc3", 0..=100)), (None, None));
    let found = last_image(&files, "0xb2", &(0..=100), &Arc::default()).unwrap();
    assert_eq!((found.shards, found.name.as_str()), (3, "0xb2"));
}
