//! Bodies in any portions, and malformed codings.
use super::*;
use proptest::prelude::*;

/// Decodes a text given in portions; the body and the bytes behind it.
fn decode(text: &[u8], portion: usize) -> Result<(Vec<u8>, Vec<u8>, bool), HttpError> {
    let (mut decoder, mut input, mut body) = (ChunkedDecoder::default(), Vec::new(), Vec::new());
    for bytes in text.chunks(portion) {
        input.extend_from_slice(bytes);
        let used = decoder.decode(&input, |data| body.extend_from_slice(data))?;
        input.drain(..used);
    }
    Ok((body, input, decoder.is_done()))
}

#[test]
fn a_body_is_the_same_in_any_portions() {
    let text = b"5\r\nhello\r\n6;name=\"a;b\"\r\n world\r\n0\r\nTrailer: x\r\n\r\nGET /";
    for portion in 1..text.len() {
        let (body, rest, done) = decode(text, portion).unwrap();
        assert_eq!((&body[..], &rest[..], done), (&b"hello world"[..], &b"GET /"[..], true));
    }
}

proptest! {
    #[test]
    fn any_bytes_mean_the_same_in_any_portions(
        text in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..64),
            "([0-9a-f]{1,2}(;x)?\r\n[a-z\r\n]{0,20}(\r\n)?){0,4}(0\r\n(a: b\r\n)?\r\n)?"
                .prop_map(String::into_bytes),
        ],
        portion in 1usize..16,
    ) {
        let whole = decode(&text, text.len().max(1));
        let parts = decode(&text, portion);
        prop_assert_eq!(whole.is_ok(), parts.is_ok());
        if let (Ok(whole), Ok(parts)) = (whole, parts) {
            prop_assert_eq!(whole, parts);
        }
    }

    #[test]
    fn a_body_in_any_chunks_is_whole(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
        portion in 1usize..400,
    ) {
        let mut out = Vec::new();
        chunks.iter().for_each(|chunk| put_chunk(chunk, &mut out));
        out.extend_from_slice(LAST_CHUNK);
        prop_assert_eq!(decode(&out, portion).unwrap(), (chunks.concat(), Vec::new(), true));
    }
}

#[test]
fn what_is_put_is_decoded() {
    let mut out = Vec::new();
    for data in [&b"a"[..], b"", &[b'x'; 300]] {
        put_chunk(data, &mut out);
    }
    assert!(!decode(&out, 7).unwrap().2);
    out.extend_from_slice(LAST_CHUNK);
    let (body, rest, done) = decode(&out, 7).unwrap();
    assert_eq!((body.len(), rest.len(), done), (301, 0, true));
}

#[test]
fn malformed_codings_are_refused() {
    let endless = [&b"0\r\n"[..], &b"a: b\r\n".repeat(HTTP_HEAD_BYTES_MAX / 5)].concat();
    for text in [
        &b"x\r\n"[..],
        b"-1\r\n",
        b"5\r\nhello!\r\n",
        b"5\nhello\r\n",
        b"0\r\nTrailer: x\n\r\n",
        b"fffffffffffffffff\r\n",
        &endless,
    ] {
        assert!(
            decode(text, 1024).is_err(),
            "{}",
            String::from_utf8_lossy(&text[..9.min(text.len())])
        );
    }
}
