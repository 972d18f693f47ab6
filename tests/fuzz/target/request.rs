//! Requests of local clients: heads, and what is planned for them.

use super::{Target, behaviour};
use ringbook::base::limits::SERVE_HEAD_BYTES_MAX;
use ringbook::serve::request::{self, HeadError};
use ringbook::serve::route::{self, Plan};

pub(super) const TARGET: Target = Target {
    name: "request",
    run,
    seeds,
    dictionary: &[
        "GET ",
        "HEAD ",
        "POST ",
        "/book?token_id=",
        "/health",
        "/stats",
        "/metrics",
        "/markets?q=",
        "&state=stale",
        "&ends_within_s=",
        "Origin: http://a\r\n",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        " HTTP/2.0\r\n",
        "Host: a\r\n",
        "Connection: close\r\n",
        "\r\n",
        "\n",
        "Connection: keep-alive\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "%00",
        "http://a/",
        "*",
        "&",
        "?",
        "#",
        "..",
        "\u{20ac}",
        "\0",
    ],
};

fn run(input: &[u8]) -> u64 {
    let result = request::parse(input);
    let (head, length) = match result {
        Ok(Some(found)) => found,
        Ok(None) => {
            assert!(input.len() <= SERVE_HEAD_BYTES_MAX, "no end to the waiting");
            return behaviour("waiting");
        }
        Err(error) => {
            let answer = route::bad_head(error);
            let expected = match error {
                HeadError::TooLarge => 431,
                HeadError::Malformed(_) => 400,
                HeadError::Version => 505,
                HeadError::WebSocketVersion => 426,
            };
            assert_eq!(answer.status, expected);
            return behaviour(format!("{error:?}"));
        }
    };
    assert!(length <= input.len().min(SERVE_HEAD_BYTES_MAX));
    assert_eq!(request::parse(&input[..length]), Ok(Some((head.clone(), length))));
    for cut in [length / 3, length / 2, length - 1] {
        assert_eq!(request::parse(&input[..cut]), Ok(None), "{cut} of {length} bytes");
    }
    assert!(head.path.starts_with('/') || !head.path.is_empty());
    let plan = route::plan(&head, true);
    let plan = match &plan {
        Plan::Recycle(connection) => connection.to_string(),
        Plan::Response(answer) => {
            assert!(matches!(answer.status, 200 | 400 | 403 | 404 | 405 | 426));
            format!("{}", answer.status)
        }
        Plan::Host => "host".into(),
        Plan::Market => "market".into(),
        Plan::Trades => "trades".into(),
        Plan::Prices => "prices".into(),
        Plan::Markets(_) => "markets".into(),
        Plan::Report(page) => format!("{page:?}"),
        Plan::Book { token, .. } => {
            assert_eq!(head.query_value("token_id").as_deref(), Some(token.as_str()));
            "book".into()
        }
    };
    behaviour((plan, head.keep_alive, head.has_body(), route::name(&head)))
}

fn seeds() -> Vec<Vec<u8>> {
    let heads = [
        "GET /book?x=1&token_id=27&token_id=28 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "HEAD /stats HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET http://a:1/metrics?b HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /markets?q=a+b&venue=x&stage=opened&order=end&skip=2&limit=3 HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0",
    ];
    heads.iter().map(|head| head.as_bytes().to_vec()).collect()
}
