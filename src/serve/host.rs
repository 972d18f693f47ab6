//! `/host`: the settings of the host as the engine judges them, on a thread of their own.
//!
//! Runs on:  serve core. Owns: the last verdict. Bounds: one judging at a time, one in `HOST_VERDICT_NS`.
use super::response::Response;
use crate::base::limits::{HOST_VERDICT_NS, HOST_VERDICT_WAIT_NS, SERVE_STOP_POLL_NS};
use crate::io::executor::sleep;
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

/// Where a verdict appears: JSON, as `ringbook doctor --json` prints it.
pub type Verdict = Arc<OnceLock<String>>;

/// Begins to judge on a thread that may block, and puts the verdict there.
pub type Judge = Box<dyn Fn(Verdict) + Send>;

pub(super) struct HostVerdict {
    judge: Option<Judge>,
    /// When its judging began.
    last: RefCell<Option<(u64, Verdict)>>,
}

impl HostVerdict {
    pub(super) const fn new(judge: Option<Judge>) -> Self {
        Self { judge, last: RefCell::new(None) }
    }

    /// The verdict, not older than `HOST_VERDICT_NS`.
    pub(super) async fn answer(&self, now_ns: u64) -> Response {
        let Some(judge) = &self.judge else {
            return Response::error(404, "this server does not judge its host");
        };
        let verdict = {
            let mut last = self.last.borrow_mut();
            let is_new = |begun_ns: &u64| now_ns.saturating_sub(*begun_ns) < HOST_VERDICT_NS;
            match &*last {
                Some((begun_ns, verdict)) if is_new(begun_ns) => Arc::clone(verdict),
                _ => {
                    let verdict = Verdict::default();
                    judge(Arc::clone(&verdict));
                    *last = Some((now_ns, Arc::clone(&verdict)));
                    verdict
                }
            }
        };
        for _ in 0..HOST_VERDICT_WAIT_NS / SERVE_STOP_POLL_NS {
            if let Some(text) = verdict.get() {
                return Response::json(200, text.as_str());
            }
            sleep(SERVE_STOP_POLL_NS).await;
        }
        Response::error(503, "the host is being judged: ask again").with("Retry-After", "1")
    }
}
