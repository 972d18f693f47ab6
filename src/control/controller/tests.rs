//! Reports of a shard that cross the decision to give a replacement up.
//!
//! Runs on:  test threads.
use super::*;
use crate::base::time::SECOND_NS;
use crate::control::registry::Source;
use crate::control::tests::fixture::{POLYMARKET, at, info_named, parts, shard, token};
use crate::counter::shard::HandoverCounts;
use crate::ring::Producer;

const FROM: ConnectionId = ConnectionId(1);

struct Rig {
    control: Controller,
    reports: Producer<Report>,
    now_ns: u64,
}

impl Rig {
    /// One market, on a connection that is up.
    fn new() -> Self {
        let (proxy, reports) = shard(0);
        let now_ns = SECOND_NS;
        let mut control = Controller::new(parts(POLYMARKET, vec![proxy]), at(now_ns));
        control.markets.registry.register(info_named("11"), 0, Source::Manual);
        let mut rig = Self { control, reports, now_ns };
        assert!(rig.dials_within(5 * SECOND_NS));
        rig.control.dialer.queue.on_success(FROM, rig.now_ns);
        rig.control.connections.on_dialed(FROM, at(rig.now_ns));
        rig
    }

    /// Whether the connection is dialed within this time.
    fn dials_within(&mut self, span_ns: u64) -> bool {
        let deadline_ns = self.now_ns + span_ns;
        while self.now_ns < deadline_ns {
            self.now_ns += SECOND_NS / 100;
            self.control.step(at(self.now_ns));
            while let Some(io_request) = self.control.poll_io_request() {
                if io_request == IoRequest::Resolve(FROM) {
                    return true;
                }
            }
        }
        false
    }
}

#[test]
fn an_old_connection_that_ended_when_its_replacement_was_given_up_is_dialed_again() {
    for given_up in [false, true] {
        let mut rig = Rig::new();
        let now = at(rig.now_ns);
        rig.control.decide(Decision::Begin { from: vec![FROM], reason: Reason::Asked }, now);
        let to = rig.control.placement().replaced_by(FROM).expect("it is being replaced");
        if given_up {
            let why = "the shard did not switch in time";
            rig.control.decide(Decision::Abandon { to, why }, now);
        }
        // The shard had switched, and then the old socket ended.
        for report in [
            Report::HandedOver { to, counts: HandoverCounts::default() },
            Report::Down { connection: FROM, why: "closed".into(), taken_over: true },
        ] {
            assert!(rig.reports.try_send(report).is_ok());
        }
        assert_eq!(rig.dials_within(60 * SECOND_NS), given_up, "given up: {given_up}");
        let market = rig.control.markets.registry.market_of(&token("11")).unwrap();
        assert_eq!(market.connection, Some(if given_up { FROM } else { to }));
    }
}
