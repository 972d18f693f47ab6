//! Answers to REST requests: whole and in pieces, with heads cross-checked by `httparse`.
//!
//! Input: how it is cut, then the answer.

use super::{Target, behaviour, magnitude, pieces};
use flate2::{Compression, write::GzEncoder};
use ringbook::wire::http::{Exchange, HttpError, Request, Response};
use std::io::Write as _;

pub(super) const TARGET: Target = Target {
    name: "exchange",
    run,
    seeds,
    dictionary: &[
        "\r\n",
        "\r\n\r\n",
        "\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 0\r\n",
        "Content-Length: 18446744073709551615\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Encoding: gzip\r\n",
        "Content-Encoding: br\r\n",
        "Connection: close\r\n",
        "Location: /x\r\n",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "ffffffffffffffff\r\n",
        "1;a=b\r\n",
        ":",
    ],
};

/// Longest body.
const BODY_BYTES_MAX: usize = 20_000;

fn answer_to(pieces: &[&[u8]]) -> Result<Option<Response>, HttpError> {
    let request = Request::get("http://venue.test/markets");
    let mut exchange = Exchange::new(&request, BODY_BYTES_MAX)?;
    for piece in pieces {
        if let Some(response) = exchange.handle_bytes(piece)? {
            return Ok(Some(response));
        }
    }
    match exchange.handle_eof() {
        Ok(response) => Ok(Some(response)),
        Err(HttpError::Truncated | HttpError::ClosedBeforeResponse) => Ok(None),
        Err(error) => Err(error),
    }
}

fn run(input: &[u8]) -> u64 {
    let (_, pieces) = pieces(input);
    let whole = input.get(1..).unwrap_or_default();
    let (all, parts) = (answer_to(&[whole]), answer_to(&pieces));
    match (&all, &parts) {
        (Ok(Some(all)), Ok(Some(parts))) => {
            assert_eq!((all.status, &all.body), (parts.status, &parts.body));
            assert_eq!(all.headers, parts.headers);
            assert!(parts.keep_alive || !all.keep_alive, "bytes behind an answer are not unseen");
            assert!(all.body.len() <= BODY_BYTES_MAX);
            assert!((101..1000).contains(&all.status));
            check_head(whole, all.status);
        }
        (Ok(None), Ok(None)) | (Err(_), Err(_)) => {}
        // The decompressor reports a fault of bytes that it holds with the bytes that come next, and of an answer that
        // ends early none come.
        (Ok(None), Err(HttpError::Malformed(why))) | (Err(HttpError::Malformed(why)), Ok(None))
            if why.starts_with("gzip: ") => {}
        _ => panic!("whole: {all:?}, in pieces: {parts:?}"),
    }
    behaviour(match &all {
        Ok(Some(answer)) => {
            let body = magnitude(answer.body.len());
            format!("{} {body} {} {}", answer.status, answer.keep_alive, answer.headers.len())
        }
        Ok(None) => "waiting".into(),
        Err(error) => format!("{error:?}"),
    })
}

/// The last head at the front of the answer has that status.
fn check_head(mut bytes: &[u8], status: u16) {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut head = httparse::Response::new(&mut headers);
        let Ok(httparse::Status::Complete(length)) = head.parse(bytes) else {
            panic!("`httparse` finds no head");
        };
        match head.code {
            Some(100..=199) if head.code != Some(status) => bytes = &bytes[length..],
            code => return assert_eq!(code, Some(status)),
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let small = gzip(b"hello hello hello");
    let bomb = gzip(&vec![0; 50 * BODY_BYTES_MAX]);
    let packed = |body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-AnnotationRecord: a\r\n\r\nhello".to_vec(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nx: 1\r\n\r\n".to_vec(),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno".to_vec(),
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 1\r\n\r\n.".to_vec(),
        b"HTTP/1.0 200 OK\r\n\r\nto the end".to_vec(),
        b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        packed(&small),
        packed(&bomb),
        packed(&[&small[..], &small].concat()),
    ];
    answers.iter().flat_map(|a| [0, 1, 30, 200].map(|plan| [&[plan], &a[..]].concat())).collect()
}
