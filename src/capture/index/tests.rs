//! Index lines.
use super::*;

#[test]
fn written_blocks_are_read_and_a_truncated_line_is_skipped() {
    let mut block = Block { offset: 10, bytes: 20, text_bytes: 100, ..Block::default() };
    [7, 5, 9].into_iter().for_each(|at| block.add(at));
    assert_eq!((block.from, block.to, block.records), (5, 9, 3));
    let next = Block { offset: 30, from: 8, to: 12, ..block };
    let text = block.to_line() + &next.to_line();
    assert_eq!(read(&text), [block, next]);
    assert_eq!(read(&text[..text.len() - 1]), [block]);
    assert_eq!(read(""), []);
    assert_eq!(begin(&[block, next], 9), Some(10));
    assert_eq!(begin(&[block, next], 10), Some(30));
    assert_eq!(begin(&[block, next], 13), None);
}
