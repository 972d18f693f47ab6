//! A database that is missing, and requests that do not fit.
use super::*;
use crate::base::id::TokenId;
use crate::link::serve_history::PriceRequest;
use futures_lite::future::{block_on, poll_once};

fn request(begin_s: u64) -> Vec<PriceRequest> {
    let of = |token| PriceRequest {
        token: TokenId::new(token).unwrap(),
        begin_s,
        end_s: u64::MAX,
        step_s: 60,
    };
    vec![of("1"), of("2")]
}

#[test]
fn a_database_that_is_not_there_is_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let address = StoreAddress::Sqlite(folder.path().join("none.db"));
    let history = start(address.clone()).unwrap();
    for _ in 0..2 {
        assert_eq!(block_on(history.read(request(0))), Err(HistoryError::Failed));
    }
    // Once it is there, it is read.
    drop(address.open().unwrap());
    assert_eq!(block_on(history.read(request(0))), Ok(vec![Vec::new(), Vec::new()]));
}

#[test]
fn requests_that_do_not_fit_are_refused_and_those_without_a_client_are_skipped() {
    let (history, requests) = link();
    let mut waiting: Vec<_> = (0..16).map(|i| Box::pin(history.read(request(i)))).collect();
    let answers: Vec<_> =
        waiting.iter_mut().map(|read| block_on(poll_once(read.as_mut()))).collect();
    let refused = answers.iter().filter(|answer| **answer == Some(Err(HistoryError::Busy)));
    assert_eq!(refused.count(), 16 - crate::base::limits::HISTORY_QUEUE_DEPTH);
    drop(waiting);
    drop(history);
    assert!(requests.iter().all(|pending| !pending.answer.is_awaited()));
}
