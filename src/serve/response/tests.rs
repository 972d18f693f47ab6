//! Bytes of an answer.
use super::*;

#[test]
fn bytes_of_an_answer() {
    let response = Response::error(503, "wait").with("Retry-After", "1");
    let text = String::from_utf8(response.to_bytes(false, true)).unwrap();
    assert_eq!(
        text,
        format!(
            "HTTP/1.1 503 Service Unavailable\r\nServer: ringbook/{}\r\n\
             Content-Type: application/json\r\nContent-Length: 16\r\nCache-Control: no-store\r\n\
             Connection: keep-alive\r\nRetry-After: 1\r\n\r\n{{\"error\":\"wait\"}}",
            env!("CARGO_PKG_VERSION")
        )
    );
    let head = response.to_bytes(true, false);
    assert!(head.ends_with(b"Connection: close\r\nRetry-After: 1\r\n\r\n"));
}
