//! Exchanges with responses of every kind, split at every byte.
use super::*;
use flate2::{Compression, write::GzEncoder};

const LIMIT: usize = 100_000;

fn get() -> Exchange {
    Exchange::new(&Request::get("http://venue.test:8080/markets?limit=1"), LIMIT).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn join(head: &str, body: &[u8]) -> Vec<u8> {
    [head.as_bytes(), body].concat()
}

/// Feeds `bytes` whole, then split at every byte: the response must be the same.
fn at_every_split(bytes: &[u8]) -> Response {
    let whole = get().handle_bytes(bytes).unwrap().expect("complete");
    for split in 0..bytes.len() {
        let mut exchange = get();
        assert!(exchange.handle_bytes(&bytes[..split]).unwrap().is_none(), "split {split}");
        let response = exchange.handle_bytes(&bytes[split..]).unwrap().expect("complete");
        assert_eq!(
            (response.status, &response.body, response.keep_alive),
            (whole.status, &whole.body, whole.keep_alive),
            "split {split}"
        );
    }
    let mut exchange = get();
    let last = bytes.iter().fold(None, |_, byte| exchange.handle_bytes(&[*byte]).unwrap());
    assert_eq!(last.expect("complete").body, whole.body);
    whole
}

#[test]
fn requests_are_encoded_completely() {
    let text = String::from_utf8(get().take_output()).unwrap();
    assert!(text.starts_with("GET /markets?limit=1 HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("host: venue.test:8080\r\n"), "{text}");
    assert!(text.contains(&format!("user-agent: {USER_AGENT}\r\n")), "{text}");
    assert!(text.contains("accept-encoding: gzip\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n") && !text.contains("content-length"), "{text}");

    let post = Request::post_json("https://venue.test/books", b"[1]".to_vec())
        .header("kalshi-access-key", "k".repeat(5000));
    assert!(!post.is_idempotent());
    let text = Exchange::new(&post, LIMIT).unwrap().take_output();
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("POST /books HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("content-type: application/json\r\n"), "{text}");
    assert!(text.contains("content-length: 3\r\n"), "{text}");
    assert!(text.contains("host: venue.test\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n[1]"), "{text}");

    let empty = Exchange::new(&Request::post_json("http://v.test/x", Vec::new()), LIMIT);
    let text = String::from_utf8(empty.unwrap().take_output()).unwrap();
    assert!(text.contains("content-length: 0\r\n"), "{text}");
}

#[test]
fn requests_that_cannot_be_sent_are_refused() {
    let bad = [
        Request::get("/relative"),
        Request::get("http://a b/"),
        Request::get("http://v.test/").header("x-note", "two\r\nlines"),
    ];
    for request in bad {
        assert!(matches!(Exchange::new(&request, LIMIT), Err(HttpError::BadRequest(_))));
    }
}

#[test]
fn a_body_with_a_length() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Note: a\r\n\r\nhello";
    let response = at_every_split(bytes);
    assert_eq!((response.status, response.body.as_slice()), (200, b"hello".as_slice()));
    assert_eq!(response.header("x-note"), Some("a"));
    assert!(response.keep_alive && response.is_success());
}

#[test]
fn a_chunked_body_with_extension_and_trailer() {
    let bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
        5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nx-sum: 1\r\n\r\n";
    let response = at_every_split(bytes);
    assert_eq!(response.body, b"hello world");
    assert!(response.keep_alive);
}

#[test]
fn gzip_bodies_with_length_and_chunked() {
    let body: Vec<u8> = (0..9000u32).flat_map(|i| (i % 251).to_le_bytes()).collect();
    let packed = gzip(&body);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    );
    assert_eq!(at_every_split(&join(&head, &packed)).body, body);

    let mut chunked =
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in packed.chunks(100) {
        chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(at_every_split(&chunked).body, body);

    let empty = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(at_every_split(empty).body, b"");
}

#[test]
fn damaged_gzip_is_an_error_and_never_a_short_body() {
    let mut packed = gzip(b"hello hello hello hello");
    let whole = packed.len();
    for length in 1..whole {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
        );
        let result = get().handle_bytes(&join(&head, &packed[..length]));
        assert!(matches!(result, Err(HttpError::Malformed(_))), "{length} of {whole}: {result:?}");
    }
    packed[whole - 5] ^= 1; // the checksum
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {whole}\r\n\r\n");
    assert!(matches!(get().handle_bytes(&join(&head, &packed)), Err(HttpError::Malformed(_))));
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    for packed in [false, true] {
        let body = if packed { gzip(b"to the end") } else { b"to the end".to_vec() };
        let note = if packed { "Content-Encoding: gzip\r\n" } else { "" };
        let bytes = join(&format!("HTTP/1.1 200 OK\r\n{note}\r\n"), &body);
        for split in 0..bytes.len() {
            let mut exchange = get();
            assert!(exchange.handle_bytes(&bytes[..split]).unwrap().is_none());
            assert!(exchange.handle_bytes(&bytes[split..]).unwrap().is_none());
            let response = exchange.handle_eof().unwrap();
            assert_eq!(response.body, b"to the end");
            assert!(!response.keep_alive);
        }
    }
}

#[test]
fn answers_without_a_body() {
    for head in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let response = at_every_split(head.as_bytes());
        assert!(response.body.is_empty() && response.keep_alive, "{head}");
    }
}

#[test]
fn interim_answers_are_skipped_and_others_are_returned_as_they_are() {
    let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
        HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno";
    let response = at_every_split(bytes);
    assert_eq!((response.status, response.retry_after_s(0)), (429, Some(7)));
    assert!(!response.is_success());
    let moved = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 1\r\n\r\n.";
    assert_eq!(at_every_split(moved).status, 302);
    let moved = b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(at_every_split(moved).status, 301);
}

#[test]
fn keep_alive_follows_the_response() {
    let keeps = |bytes: &[u8]| get().handle_bytes(bytes).unwrap().unwrap().keep_alive;
    assert!(keeps(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n."));
    assert!(!keeps(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n."));
    assert!(!keeps(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n."));
    // Unexpected bytes after the response.
    assert!(!keeps(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.HTTP/1.1 200 OK\r\n"));
}

#[test]
fn bounds_hold_for_head_body_and_inflated_body() {
    let too_large = HttpError::BodyTooLarge { bytes_max: LIMIT };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", LIMIT + 1);
    assert_eq!(get().handle_bytes(head.as_bytes()).unwrap_err(), too_large);

    let mut endless = get();
    endless.handle_bytes(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    endless.handle_bytes(&vec![b'.'; LIMIT]).unwrap();
    assert_eq!(endless.handle_bytes(b".").unwrap_err(), too_large);

    let bomb = gzip(&vec![0; 50 * LIMIT]);
    assert!(bomb.len() < LIMIT);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        bomb.len()
    );
    assert_eq!(get().handle_bytes(&join(&head, &bomb)).unwrap_err(), too_large);
    // A little above the limit, without its last byte.
    let little = gzip(&vec![0; LIMIT + 1]);
    let cut = &little[..little.len() - 1];
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        little.len()
    );
    assert_eq!(get().handle_bytes(&join(&head, cut)).unwrap_err(), too_large);

    let mut long = get();
    let head = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(HTTP_HEAD_BYTES_MAX));
    assert_eq!(long.handle_bytes(head.as_bytes()).unwrap_err(), HttpError::HeadTooLarge);
}

#[test]
fn a_head_is_too_large_whole_and_in_pieces() {
    let padding = "a".repeat(HTTP_HEAD_BYTES_MAX);
    let head = format!("HTTP/1.1 200 OK\r\nX: {padding}\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(get().handle_bytes(head.as_bytes()).unwrap_err(), HttpError::HeadTooLarge);
    let mut pieces = get();
    let result = head.as_bytes().chunks(1000).map(|piece| pieces.handle_bytes(piece));
    assert_eq!(result.last().unwrap().unwrap_err(), HttpError::HeadTooLarge);
}

/// Trailers up to their limit, each split, so that unread input always remains.
#[test]
fn consumed_framing_is_dropped() {
    let mut exchange = get();
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n.\r\n0\r\na:";
    assert!(exchange.handle_bytes(head).unwrap().is_none());
    let trailer = format!("{}\r\na:", "e".repeat(500));
    for _ in 0..100 {
        assert!(exchange.handle_bytes(trailer.as_bytes()).unwrap().is_none());
        let retained = exchange.input.capacity();
        assert!(retained <= 4 * trailer.len(), "{retained} bytes are retained");
    }
    let response = exchange.handle_bytes(b"\r\n\r\n").unwrap().expect("complete");
    assert_eq!(response.body, b".");
}

#[test]
fn an_early_end_differs_from_no_response() {
    assert_eq!(get().handle_eof().unwrap_err(), HttpError::ClosedBeforeResponse);
    for part in [
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let mut exchange = get();
        assert!(exchange.handle_bytes(part.as_bytes()).unwrap().is_none());
        assert!(exchange.is_answered());
        assert_eq!(exchange.handle_eof().unwrap_err(), HttpError::Truncated, "{part}");
    }
}

#[test]
fn garbage_is_refused() {
    for bytes in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    ] {
        let result = get().handle_bytes(bytes.as_bytes());
        assert!(matches!(result, Err(HttpError::Malformed(_))), "{bytes}: {result:?}");
    }
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\n.";
    assert_eq!(get().handle_bytes(bytes).unwrap_err(), HttpError::UnknownEncoding("br".into()));
}

proptest::proptest! {
    #[test]
    fn any_bytes_in_any_portions_never_panic(
        bytes in proptest::collection::vec(0u8..=255, 0..300),
        prefix in 0usize..4,
        portion in 1usize..50,
    ) {
        let prefixes = [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
        ];
        let bytes = join(prefixes[prefix], &bytes);
        let mut exchange = get();
        for piece in bytes.chunks(portion) {
            match exchange.handle_bytes(piece) {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return Ok(()),
            }
        }
        let _ = exchange.handle_eof();
    }
}

fn answer(status: &str, headers: &str) -> Response {
    let text = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\n\r\n");
    get().handle_bytes(text.as_bytes()).unwrap().unwrap()
}

#[test]
fn redirects_are_resolved_and_change_the_method_as_in_the_standard() {
    let requested = "http://venue.test:8080/markets?limit=1";
    let moved = answer("301 Moved", "Location: ./other\r\n");
    assert_eq!(moved.redirect(requested).as_deref(), Some("http://venue.test:8080/other"));
    assert_eq!(answer("301 Moved", "").redirect(requested), None);
    assert_eq!(answer("304 Not Modified", "Location: /x\r\n").redirect(requested), None);
    let written = |request: &Request| {
        let text = Exchange::new(request, LIMIT).unwrap().take_output();
        String::from_utf8(text).unwrap()
    };
    let post = Request::post_json(requested, b"[1]".to_vec()).header("x-key", "k");
    for (status, method) in [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
    {
        let text = written(&post.redirected(status, "http://venue.test:8080/x".into()));
        assert!(text.starts_with(&format!("{method} /x HTTP/1.1\r\n")), "{text}");
        assert!(text.contains("x-key: k\r\n"), "{text}");
        assert_eq!(text.contains("content-type"), method == "POST", "{text}");
        assert_eq!(text.ends_with("\r\n\r\n[1]"), method == "POST", "{text}");
    }
    let put = Request::new(Method::PUT, requested, b"[2]".to_vec());
    assert!(put.is_idempotent() && !post.is_idempotent());
    assert!(written(&put.redirected(302, requested.into())).starts_with("PUT /markets"));
    assert!(written(&put.redirected(303, requested.into())).starts_with("GET /markets"));
    let head = Request::new(Method::HEAD, requested, Vec::new());
    let text = written(&head.redirected(303, requested.into()));
    assert!(text.starts_with("HEAD /markets") && !text.contains("content-length"), "{text}");
    let mut exchange = Exchange::new(&head, LIMIT).unwrap();
    let response = exchange.handle_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    assert!(response.unwrap().unwrap().body.is_empty(), "an answer to HEAD has no body");
    let delete = Request::new(Method::DELETE, requested, Vec::new());
    assert!(written(&delete).starts_with("DELETE /markets"));
}

#[test]
fn pauses_are_seconds_or_dates_of_429_and_503_only() {
    let wall_ns = 1_445_412_470 * SECOND_NS;
    let date = "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n";
    assert_eq!(answer("503 Busy", date).pause_ns(wall_ns), Some(10 * SECOND_NS));
    assert_eq!(answer("503 Busy", date).pause_ns(wall_ns + 20 * SECOND_NS), Some(0));
    assert_eq!(answer("429 Slow", "Retry-After: 3\r\n").pause_ns(0), Some(3 * SECOND_NS));
    assert_eq!(answer("429 Slow", "Retry-After: soon\r\n").pause_ns(0), None);
    assert_eq!(answer("429 Slow", "").pause_ns(0), None);
    assert_eq!(answer("200 OK", "Retry-After: 3\r\n").pause_ns(0), None);
}

/// Feeds `front`, then `more` repeatedly; returns the error that ends it and the number of bytes fed.
fn flooded(front: &[u8], more: &[u8]) -> (HttpError, usize) {
    let mut exchange = get();
    assert!(exchange.handle_bytes(front).unwrap().is_none());
    for round in 1..10_000 {
        match exchange.handle_bytes(more) {
            Ok(None) => {}
            Ok(Some(response)) => panic!("{response:?}"),
            Err(error) => return (error, round * more.len()),
        }
    }
    panic!("{} bytes are taken and there is no end", 10_000 * more.len());
}

/// Each continues without end and without body bytes.
#[test]
fn heads_and_framing_are_bounded() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice();
    let trailers = [chunked, b"2\r\n{}\r\n0\r\n"].concat();
    let extension = [b"1;".as_slice(), &b"x".repeat(1000), b"\r\na\r\n"].concat();
    let zipped = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".as_slice();
    for (front, more) in [
        (b"".as_slice(), b"HTTP/1.1 100 Continue\r\n\r\n".repeat(40)),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(40)),
        (b"", b"\r\n".repeat(500)),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n".repeat(100)),
        (&trailers, b"X: yyyyyyyyyyyy\r\n".repeat(100)),
        (chunked, extension),
        (zipped, gzip(b"").repeat(50)),
    ] {
        let (error, bytes) = flooded(front, &more);
        assert!(bytes <= 2 * (HTTP_HEAD_BYTES_MAX + 2 * LIMIT), "{error}: {bytes} bytes");
    }
    // A few of them are valid.
    let mut exchange = get();
    let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(3);
    let answer = [&hints[..], b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"].concat();
    assert_eq!(exchange.handle_bytes(&answer).unwrap().unwrap().body, b"{}");
}

#[test]
fn a_redirect_shows_its_target_on_one_line() {
    let head =
        "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.test/x\r\nContent-Length: 0\r\n\r\n";
    let response = get().handle_bytes(head.as_bytes()).unwrap().unwrap();
    assert_eq!(
        response.status_line(),
        "HTTP 302, a redirect to http://elsewhere.test/x, which is not followed; correct the address"
    );
    let plain = b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(get().handle_bytes(plain).unwrap().unwrap().status_line(), "HTTP 503");
}
