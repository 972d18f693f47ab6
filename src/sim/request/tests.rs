//! Requests at every split, and too large ones.
use super::*;

#[test]
fn requests_are_taken_at_every_split() {
    let wire = b"POST /books?x=a%20b&y=1,2&y=3 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\
        Accept-Encoding: gzip, br\r\n\r\n[{}]GET /time HTTP/1.1\r\nConnection: close\r\n\r\n";
    for split in 0..wire.len() {
        let (mut input, mut requests) = (Vec::new(), Vec::new());
        for part in [&wire[..split], &wire[split..]] {
            input.extend_from_slice(part);
            while let Some(request) = Request::take(&mut input).unwrap() {
                requests.push(request);
            }
        }
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].query.first("x"), Some("a b"));
        assert_eq!(requests[0].query.all("y"), ["1", "2", "3"]);
        assert_eq!(requests[0].body, b"[{}]");
        assert!(requests[0].gzip && requests[0].keep_alive && !requests[1].keep_alive);
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let mut long = b"GET / HTTP/1.1\r\nx: ".to_vec();
    long.extend(std::iter::repeat_n(b'x', HEAD_BYTES_MAX));
    assert_eq!(Request::take(&mut long).unwrap_err(), Unacceptable(431));
    let mut body = b"POST / HTTP/1.1\r\ncontent-length: 999999999\r\n\r\n".to_vec();
    assert_eq!(Request::take(&mut body).unwrap_err(), Unacceptable(413));
}
