//! Damaged, long and truncated frames.
use super::*;
use std::io::ErrorKind;

/// Frames of one line each, and their offsets.
fn packed(lines: &[String]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut starts = Vec::new();
    for line in lines {
        starts.push(bytes.len());
        let mut encoder = zstd::stream::Encoder::new(&mut bytes, 1).unwrap();
        encoder.include_checksum(true).unwrap();
        io::Write::write_all(&mut encoder, line.as_bytes()).unwrap();
        encoder.finish().unwrap();
    }
    (bytes, starts)
}

/// The text read, and the errors.
fn read(bytes: &[u8]) -> (String, Vec<io::Error>) {
    let mut frames = ZstdFrames::new(bytes, 0).unwrap();
    let (mut text, mut errors) = (Vec::new(), Vec::new());
    let mut part = [0; 1000];
    loop {
        match frames.read(&mut part) {
            Ok(0) => return (String::from_utf8_lossy(&text).into_owned(), errors),
            Ok(n) => text.extend_from_slice(&part[..n]),
            Err(error) => errors.push(error),
        }
        assert!(errors.len() < 100, "{errors:?}");
    }
}

fn lines(n: usize, len: usize) -> Vec<String> {
    let noise = |i: usize| (0..len).map(move |k| char::from(b'a' + ((i * 31 + k * k) % 26) as u8));
    (0..n).map(|i| format!("{i} {}\n", noise(i).collect::<String>())).collect()
}

#[test]
fn damage_loses_its_frame() {
    let lines = lines(6, 3000);
    let (whole, starts) = packed(&lines);
    assert_eq!(read(&whole).0, lines.concat());
    let end = starts[3] - starts[2];
    // Magic, frame header, block header, middle, checksum; one byte or many.
    for (at, n) in
        [(0, 1), (3, 2), (4, 3), (7, 3), (end / 2, 1), (end / 2, 64), (end - 2, 1), (0, end)]
    {
        for fill in [0, 0xff, 0xa5] {
            let mut bytes = whole.clone();
            let from = starts[2] + at;
            let to = (from + n).min(starts[3]);
            if bytes[from..to].iter().all(|&byte| byte == fill) {
                continue;
            }
            bytes[from..to].fill(fill);
            let (text, errors) = read(&bytes);
            assert!(!errors.is_empty(), "{at} {n} {fill}");
            assert!(text.starts_with(&lines[..2].concat()), "{at} {n} {fill}");
            assert!(text.ends_with(&lines[3..].concat()), "{at} {n} {fill}: {errors:?}");
        }
    }
    // Bytes between frames, and a truncated frame.
    let between = [&whole[..starts[3]], &[0; 5000][..], &whole[starts[3]..]].concat();
    let (text, errors) = read(&between);
    assert_eq!((text, errors.len()), (lines.concat(), 1));
    let half = [&whole[..starts[2] + end / 2], &whole[starts[3]..]].concat();
    let (text, errors) = read(&half);
    assert!(text.ends_with(&lines[3..].concat()) && !errors.is_empty(), "{errors:?}");
}

#[test]
fn a_long_frame_and_a_truncated_end_are_handled() {
    let long = lines(1, 6_000_000);
    let (mut bytes, _) = packed(&[long[0].clone(), "x\n".to_owned()]);
    assert_eq!(read(&bytes).0.len(), long[0].len() + 2);
    bytes.truncate(bytes.len() - 3);
    let (_, errors) = read(&bytes);
    assert_eq!(errors.iter().map(io::Error::kind).collect::<Vec<_>>(), [ErrorKind::UnexpectedEof]);
    let tail = [&packed(&["a\n".to_owned()]).0[..], &[0; 4096]].concat();
    let (text, errors) = read(&tail);
    let damage = errors[0].get_ref().unwrap().downcast_ref::<Damage>().unwrap();
    assert_eq!((&*text, damage.resumed, errors.len()), ("a\n", false, 1));
}
