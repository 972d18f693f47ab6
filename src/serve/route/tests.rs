//! Plans and answers of routes.
use super::*;
use crate::market::book::StaleReason;
use crate::market::book::image::BookFacts;
use crate::serve::request::Body;

fn head(method: Method, path: &str, query: &str) -> Head {
    let (path, query) = (path.to_owned(), query.to_owned());
    Head {
        method,
        path,
        query,
        host: None,
        keep_alive: true,
        sender: Sender::Program,
        body: Body::None,
        upgrade: None,
        signature: None,
    }
}

fn answer(head: &Head) -> Response {
    match plan(head, true) {
        Plan::Response(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn text(answer: &Response) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[test]
fn plans() {
    assert_eq!(plan(&head(Method::Get, "/health", ""), true), Plan::Report(Page::Health));
    assert_eq!(plan(&head(Method::Head, "/stats", "x"), true), Plan::Report(Page::Stats));
    assert_eq!(plan(&head(Method::Get, "/metrics", ""), true), Plan::Report(Page::Metrics));
    let token = TokenId::new("27").unwrap();
    let of = |query: &str| plan(&head(Method::Get, "/book", query), true);
    assert_eq!(of("token_id=27"), Plan::Book { token, opposite: false });
    assert_eq!(of("token_id=27&outcome=no"), Plan::Book { token, opposite: true });
    assert!(
        matches!(of("token_id=27&outcome=maybe"), Plan::Response(answer) if answer.status == 400)
    );
    for query in ["", "token_id=", "token_id=a b", "token_id=%22", "token=27"] {
        let bad = answer(&head(Method::Get, "/book", query));
        assert_eq!((bad.status, text(&bad)), (400, r#"{"error":"Invalid token id"}"#));
    }
    let post = answer(&head(Method::Other, "/stats", ""));
    assert_eq!(post.status, 405);
    assert_eq!(post.headers, [("Allow", "GET, HEAD".to_owned())]);
    let missing = answer(&head(Method::Other, "/stat", ""));
    assert_eq!(missing.status, 404);
    for (path, _) in PATHS {
        assert!(text(&missing).contains(path), "{path}");
    }
}

#[test]
fn orders_come_from_this_host_and_from_no_other_page() {
    let path = "/admin/recycle";
    let order = head(Method::Post, path, "connection=7");
    assert_eq!(plan(&order, true), Plan::Recycle(ConnectionId(7)));
    let named = head(Method::Post, path, "connection=connection-7");
    assert_eq!(plan(&named, true), Plan::Recycle(ConnectionId(7)));
    let status = |head: &Head, is_local| match plan(head, is_local) {
        Plan::Response(answer) => answer.status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status(&order, false), 403);
    assert_eq!(status(&Head { sender: Sender::OtherPage, ..order.clone() }, true), 403);
    let own = Head { sender: Sender::OwnPage, ..order };
    assert_eq!(plan(&own, true), Plan::Recycle(ConnectionId(7)));
    assert_eq!(status(&own, false), 403);
    assert_eq!(status(&head(Method::Get, path, "connection=7"), true), 405);
    assert_eq!(status(&head(Method::Post, path, "connection=x"), true), 400);
    assert_eq!(recycling(Ok(Ok(()))).status, 202);
    assert_eq!(recycling(Ok(Err("no".into()))).status, 409);
    assert_eq!(recycling(Err(NoAnswer::Late)).status, 503);
}

#[test]
fn health_has_its_reasons_and_a_silent_control_core_is_one() {
    let serve = ServeReport::default();
    let mut report = EngineReport {
        version: "1.2.3".into(),
        started_wall_ns: SECOND_NS,
        now_wall_ns: 64 * SECOND_NS,
        ..EngineReport::default()
    };
    report.health.reasons.push("no connection is up: \"x\"".into());
    let bad = page(Page::Health, Ok(Arc::new(report.clone())), &serve);
    assert_eq!(bad.status, 503);
    assert_eq!(
        text(&bad),
        r#"{"status":"unhealthy","version":"1.2.3","uptime_s":63,"healthy":false,"in_grace":false,"reasons":["no connection is up: \"x\""],"notices":[]}"#
    );
    report.health = HealthReport { healthy: true, ..HealthReport::default() };
    let good = page(Page::Health, Ok(Arc::new(report)), &serve);
    assert_eq!(good.status, 200);
    let silent = page(Page::Health, Err(NoAnswer::Late), &serve);
    assert_eq!(silent.status, 503);
    assert!(text(&silent).contains(r#""reasons":["the control core does not report"#));
    for (why, reason) in [
        (NoAnswer::Late, "the control core does not report: it may hang"),
        (NoAnswer::Busy, "the control core is too busy to report: it may hang"),
    ] {
        assert!(text(&page(Page::Health, Err(why), &serve)).contains(reason), "{reason}");
        assert_eq!(crate::counter::health::condition_of(reason), Some(reason));
    }
    let busy = page(Page::Stats, Err(NoAnswer::Busy), &serve);
    assert_eq!(busy.status, 503);
    assert_eq!(text(&busy), r#"{"error":"control core: too busy to answer"}"#);
}

#[test]
fn books_carry_their_state_and_age() {
    let header = |answer: &Response, name: &str| {
        answer.headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone())
    };
    let mut image = BookImage { token: TokenId::new("27"), ..BookImage::default() };
    let waiting = book(Ok(Some(&image)), 0);
    assert_eq!(waiting.status, 503);
    assert_eq!(header(&waiting, "Retry-After").as_deref(), Some("1"));
    assert_eq!(header(&waiting, "X-Ringbook-State").as_deref(), Some("awaiting_snapshot"));
    assert_eq!(header(&waiting, "X-Ringbook-Age-Ms"), None);

    image.state = BookState::Live;
    image.facts = BookFacts { updated_wall_ns: 5 * MILLISECOND_NS, ..BookFacts::default() };
    let live = book(Ok(Some(&image)), 47 * MILLISECOND_NS);
    assert_eq!(live.status, 200);
    assert_eq!(header(&live, "X-Ringbook-State").as_deref(), Some("live"));
    assert_eq!(header(&live, "X-Ringbook-Age-Ms").as_deref(), Some("42"));
    assert!(text(&live).starts_with(r#"{"market":"","asset_id":"27","timestamp":"0""#));

    let (why, since_wall_ns) = (StaleReason::Disconnected, 46 * MILLISECOND_NS);
    image.state = BookState::Stale { why, since_wall_ns };
    let stale = book(Ok(Some(&image)), 0);
    assert_eq!(stale.status, 200);
    assert_eq!(header(&stale, "X-Ringbook-State").as_deref(), Some("stale:disconnected"));
    assert_eq!(header(&stale, "X-Ringbook-Stale-Since-Ms").as_deref(), Some("46"));
    assert_eq!(header(&live, "X-Ringbook-Stale-Since-Ms"), None);

    let missing = book(Ok(None), 0);
    assert_eq!(missing.status, 404);
    assert_eq!(text(&missing), r#"{"error":"No orderbook exists for the requested token id"}"#);
    assert_eq!(book(Err(NoAnswer::Late), 0).status, 503);
}
