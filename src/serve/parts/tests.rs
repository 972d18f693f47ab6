//! Sources merged by time, and one with an error.
use super::*;
use std::sync::mpsc::channel;

fn part(messages: &[(u64, &str)]) -> Part {
    let mut part = Messages::default();
    for (at_ns, text) in messages {
        part.push(*at_ns, text.as_bytes());
    }
    Part::Messages(part)
}

fn take(merge: &mut Merge, until_ns: u64, bytes: usize) -> (Result<Taken, String>, String) {
    let mut text = String::new();
    let taken = merge.take(until_ns, bytes, |message| {
        text.push_str(std::str::from_utf8(message).unwrap());
    });
    (taken, text)
}

#[test]
fn messages_come_in_the_order_of_time() {
    let ((a, left), (b, right)) = (channel(), channel());
    let mut merge = Merge::new(vec![Source::new(left), Source::new(right)]);
    a.send(part(&[(1, "a"), (4, "d")])).unwrap();
    assert_eq!(take(&mut merge, 9, 99), (Ok(Taken::Nothing), String::new()));
    b.send(part(&[(2, "b"), (3, "c")])).unwrap();
    b.send(part(&[(3, "C"), (7, "f")])).unwrap();
    assert_eq!(take(&mut merge, 9, 2), (Ok(Taken::Some), "ab".to_owned()));
    assert_eq!(take(&mut merge, 9, 99), (Ok(Taken::Some), "cCd".to_owned()));
    a.send(Part::End(Ok(()))).unwrap();
    assert_eq!(take(&mut merge, 6, 99), (Ok(Taken::Later), String::new()));
    assert_eq!(merge.next_time(), Ok(Some(Some(7))));
    assert_eq!(take(&mut merge, 7, 99), (Ok(Taken::Some), "f".to_owned()));
    b.send(Part::End(Ok(()))).unwrap();
    assert_eq!(take(&mut merge, 9, 99), (Ok(Taken::End), String::new()));
}

#[test]
fn a_source_that_cannot_be_read_is_an_error_behind_its_messages() {
    let (a, left) = channel();
    let mut merge = Merge::new(vec![Source::new(left)]);
    a.send(part(&[(1, "a")])).unwrap();
    a.send(Part::End(Err("gone".to_owned()))).unwrap();
    assert_eq!(take(&mut merge, 9, 99), (Ok(Taken::Some), "a".to_owned()));
    assert_eq!(take(&mut merge, 9, 99).0, Err("gone".to_owned()));
    let (b, left) = channel::<Part>();
    drop(b);
    assert!(take(&mut Merge::new(vec![Source::new(left)]), 9, 99).0.is_err());
}
