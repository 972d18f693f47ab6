//! Rows beyond the bound of memory.
use super::*;

#[test]
fn rows_beyond_memory_come_back_by_key_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool { most: 100, ..Spool::create(folder.path()).unwrap() };
    for number in 0..1_000u32 {
        spool.add(number % 7, |row| row.extend(number.to_le_bytes())).unwrap();
    }
    assert!(spool.file.is_some());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it has no name");
    let parts = spool.take_parts();
    assert!(parts.iter().map(|(key, _)| *key).eq(0..7));
    for (key, part) in parts {
        let mut read = Vec::new();
        let read_row = |row: &[u8]| u32::from_le_bytes(row.try_into().unwrap());
        let mut read_rows = |rows: &[u8]| {
            read.extend(rows.chunks(4).map(read_row));
            Ok(())
        };
        spool.each(&part, &mut read_rows).unwrap();
        assert_eq!(read.len() as u64, part.rows);
        assert!(read.into_iter().eq((key..1_000).step_by(7)));
    }
}
