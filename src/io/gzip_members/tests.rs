//! Damaged members.
use super::*;
use std::io::ErrorKind;

fn gzip(text: &str, name: Option<&str>) -> Vec<u8> {
    let mut builder = flate2::GzBuilder::new();
    if let Some(name) = name {
        builder = builder.filename(name).comment("c").extra(&b"extra"[..]);
    }
    let mut encoder = builder.write(Vec::new(), flate2::Compression::fast());
    io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The text read, and the errors.
fn read(bytes: &[u8]) -> (String, Vec<io::Error>) {
    let mut members = GzipMembers::new(bytes, 0);
    let (mut text, mut errors) = (Vec::new(), Vec::new());
    let mut part = [0; 1000];
    loop {
        match members.read(&mut part) {
            Ok(0) => return (String::from_utf8_lossy(&text).into_owned(), errors),
            Ok(n) => text.extend_from_slice(&part[..n]),
            Err(error) => {
                let over = error.kind() == ErrorKind::UnexpectedEof;
                errors.push(error);
                if over {
                    return (String::from_utf8_lossy(&text).into_owned(), errors);
                }
            }
        }
        assert!(errors.len() < 100, "{errors:?}");
    }
}

fn damage(error: &io::Error) -> &Damage {
    error.get_ref().unwrap().downcast_ref().unwrap()
}

fn texts(n: usize) -> Vec<String> {
    let noise = |i: usize| (0..9000).map(move |k| char::from(b'a' + ((i * 31 + k * k) % 26) as u8));
    (0..n).map(|i| format!("{i} {}\n", noise(i).collect::<String>())).collect()
}

#[test]
fn damage_loses_the_rest_of_its_member() {
    let texts = texts(5);
    let name = |i: usize| i.is_multiple_of(2).then_some("a name");
    let members: Vec<Vec<u8>> =
        texts.iter().enumerate().map(|(i, text)| gzip(text, name(i))).collect();
    let whole = members.concat();
    assert_eq!(read(&whole).0, texts.concat());
    let begin: usize = members[..2].iter().map(Vec::len).sum();
    let len = members[2].len();
    // Magic, flags, name, data, checksum; one byte, many, or all.
    for (at, n) in [
        (0, 1),
        (2, 1),
        (3, 1),
        (12, 30),
        (40, 1),
        (60, 64),
        (len / 2, 1),
        (len / 2, 40),
        (len - 9, 1),
        (len - 8, 1),
        (len - 1, 1),
        (0, len),
    ] {
        for fill in [0, 0xff, 0xa5] {
            let mut bytes = whole.clone();
            let range = begin + at..(begin + at + n).min(begin + len);
            if bytes[range.clone()].iter().all(|&byte| byte == fill) {
                continue;
            }
            bytes[range].fill(fill);
            let (text, errors) = read(&bytes);
            // Damage of a name may go unnoticed.
            assert!(!errors.is_empty() || text == texts.concat(), "{at} {n} {fill}");
            assert!(text.starts_with(&texts[..2].concat()), "{at} {n} {fill}");
            assert!(text.ends_with(&texts[3..].concat()), "{at} {n} {fill}: {errors:?}");
        }
    }
}

#[test]
fn lost_bytes_are_reported() {
    let texts = texts(3);
    let one = gzip(&texts.concat(), None);
    let mut bytes = one.clone();
    let at = bytes.len() / 2;
    bytes[at..at + 40].fill(0xff);
    let (text, errors) = read(&bytes);
    assert!(texts.concat().starts_with(&text[..text.len() / 2]), "the first half is read");
    let damage_of_one = damage(&errors[0]);
    assert_eq!((errors.len(), damage_of_one.resumed), (1, false));
    assert_eq!(damage_of_one.to, one.len() as u64);
    let lost = one.len() as u64 - damage_of_one.from;
    assert!(errors[0].to_string().contains(&format!("to the end are lost, {lost} bytes")));
    // A checksum that differs: nothing is missing, but the text is unverified.
    let mut bytes = [one.clone(), gzip("next\n", None)].concat();
    bytes[one.len() - 8] ^= 1;
    let (text, errors) = read(&bytes);
    assert_eq!(text, texts.concat() + "next\n");
    assert!(errors.len() == 1 && damage(&errors[0]).unverified, "{errors:?}");
    // Bytes between members, and after them.
    let between = [&gzip("a\n", None)[..], &[0; 600], &gzip("b\n", None), &[0; 600]].concat();
    let (text, errors) = read(&between);
    assert_eq!((&*text, errors.len()), ("a\nb\n", 2));
    assert!(damage(&errors[0]).resumed && !damage(&errors[1]).resumed);
    let cut = read(&one[..one.len() - 3]);
    assert_eq!(cut.1[0].kind(), ErrorKind::UnexpectedEof);
}
