//! Files of every form, truncated, replaced and unreadable.
use super::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};

fn read(bytes: &[u8]) -> (Form, String, Option<ErrorKind>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let source = Source::of(file.path().to_owned());
    assert_eq!(look(&source), Ok(Facts { len: Some(bytes.len() as u64) }));
    let mut input = open(&source, &Arc::default()).unwrap();
    let mut text = Vec::new();
    let fault = input.reader.read_to_end(&mut text).err().map(|error| error.kind());
    assert!(fault.is_some() || input.taken.load(Ordering::Relaxed) == bytes.len() as u64);
    (input.form, String::from_utf8(text).unwrap(), fault)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_form_follows_the_content_and_parts_are_joined() {
    assert_eq!(read(b""), (Form::Plain, String::new(), None));
    assert_eq!(read(b"ab"), (Form::Plain, "ab".into(), None));
    let zstd = |bytes: &[u8]| zstd::stream::encode_all(bytes, 1).unwrap();
    let two = [zstd(b"one\n"), zstd(b"two\n")].concat();
    assert_eq!(read(&two), (Form::Zstd, "one\ntwo\n".into(), None));
    let two = [gzip(b"one\n"), gzip(b"two\n")].concat();
    assert_eq!(read(&two), (Form::Gzip, "one\ntwo\n".into(), None));
    let skippable = [b"\x50\x2a\x4d\x18\x01\0\0\0x".to_vec(), zstd(b"one\n")].concat();
    assert_eq!(read(&skippable), (Form::Zstd, "one\n".into(), None));
}

#[test]
fn a_truncated_stream_gives_its_content_and_then_an_unexpected_end() {
    let text = "0123456789abcdef\n".repeat(60_000);
    for whole in [zstd::stream::encode_all(text.as_bytes(), 1).unwrap(), gzip(text.as_bytes())] {
        let cut = [&whole[..], &whole[..whole.len() - 1]].concat();
        let (_, got, fault) = read(&cut);
        assert_eq!(fault, Some(ErrorKind::UnexpectedEof));
        assert!(got.len() >= text.len() && got.starts_with(&text));
    }
}

#[test]
fn the_first_buffer_of_a_plain_file_is_as_long_as_of_a_compressed_one() {
    let text = b"{}\n".repeat(HEAD_BYTES);
    let packed = zstd::stream::encode_all(&text[..], 1).unwrap();
    for bytes in [&text, &packed] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut input = open(&Source::of(file.path().to_owned()), &Arc::default()).unwrap();
        let seen = input.reader.fill_buf().unwrap();
        assert!(seen.len() >= HEAD_BYTES && text.starts_with(seen), "{} bytes", seen.len());
    }
}

#[test]
fn small_files_are_regular_and_bounded_and_secrets_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "secret").unwrap();
    assert_eq!(read_small(&path, 6), Ok(b"secret".to_vec()));
    let large = read_small(&path, 5).unwrap_err();
    assert!(large.contains("is larger than"), "{large}");
    for mode in [0o640, 0o604, 0o666, 0o610] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let open = read_private(&path).unwrap_err();
        assert!(open.contains("others may read it; `chmod 600"), "{open}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(read_private(&path), Ok(b"secret".to_vec()));
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for endless in [&pipe, Path::new("/dev/zero"), folder.path()] {
        let refused = read_small(endless, 1 << 20).unwrap_err();
        assert!(refused.contains("is no regular file"), "{refused}");
    }
    assert!(read_private(&pipe).unwrap_err().contains("is no regular file"));
}

#[test]
fn a_new_file_replaces_another_when_it_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.svg");
    std::fs::write(&path, "before").unwrap();
    drop(NewFile::create(&path).unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
    NewFile::create(&path).unwrap().finish(b"after").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "after");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    NewFile::create(Path::new("/dev/null")).unwrap().finish(b"x").unwrap();
    let error = NewFile::create(&folder.path().join("none/out.svg")).unwrap_err();
    assert!(error.contains("name a file in a folder that exists"), "{error}");
}

#[test]
fn read_errors_have_a_remedy() {
    let missing = look(&Source::of("/no/such/file".into())).unwrap_err();
    assert!(missing.contains("/no/such/file: no such file"), "{missing}");
    let folder = look(&Source::of("/tmp".into())).unwrap_err();
    assert!(folder.contains("is a folder without a capture"), "{folder}");
}

#[test]
fn a_named_pipe_without_a_writer_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let stop = Arc::new(AtomicBool::new(true));
    let mut text = String::new();
    let source = Source::of(path.clone());
    open(&source, &stop).unwrap().reader.read_to_string(&mut text).unwrap();
    stop.store(false, Ordering::Relaxed);
    let writer = std::thread::spawn(move || std::fs::write(path, "one\n").unwrap());
    open(&source, &stop).unwrap().reader.read_to_string(&mut text).unwrap();
    writer.join().unwrap();
    assert_eq!(text, "one\n");
}
