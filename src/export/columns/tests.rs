//! Rows to bytes and back.
use super::*;

#[test]
fn a_row_comes_back_from_its_bytes() {
    let text = || ByteArray::from("ä,".as_bytes().to_vec());
    let empty = || {
        [
            Column::Int(Vec::new()),
            Column::Long(Vec::new()),
            Column::MaybeInt(Vec::new(), Vec::new()),
            Column::MaybeLong(Vec::new(), Vec::new()),
            Column::Text(Vec::new()),
            Column::MaybeText(Vec::new(), Vec::new()),
        ]
    };
    for has in [true, false] {
        let fill = |columns: &mut [Column; 6]| {
            columns[0].int(7);
            columns[1].long(u64::MAX);
            columns[2].maybe_int(has.then_some(8));
            columns[3].maybe_long(has.then_some(9));
            columns[4].text(text());
            columns[5].maybe_text(has.then(text));
        };
        let (mut expected, mut read, mut bytes) = (empty(), empty(), Vec::new());
        let mut one = empty();
        for _ in 0..2 {
            fill(&mut expected);
            fill(&mut one);
            one.iter_mut().for_each(|column| column.encode(&mut bytes));
        }
        let mut rest = bytes.as_slice();
        for _ in 0..2 {
            assert!(read.iter_mut().all(|column| column.decode(&mut rest).is_some()));
        }
        assert!(rest.is_empty());
        assert_eq!(format!("{read:?}"), format!("{expected:?}"));
        assert!(read[0].decode(&mut rest).is_none());
    }
}
