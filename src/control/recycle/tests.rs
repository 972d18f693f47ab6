//! Reports of a shard that cross the decision to give a replacement up.
//!
//! Runs on:  test threads.
use super::*;
use crate::base::id::{MarketId, ShardId, TokenId};
use crate::base::time::SECOND_NS;
use crate::control::dial::Target;
use crate::control::discovery::Discovery;
use crate::control::lifecycle::{Lifecycle, LifecycleOptions};
use crate::control::pump::{ControlParts, Errand};
use crate::control::registry::Source;
use crate::control::shard_proxy::ShardProxy;
use crate::io::driver::Readiness;
use crate::link::shard_control::Report;
use crate::market::info::{MarketInfo, Outcome};
use crate::ring::{Producer, ring};
use crate::venue::polymarket;

const FROM: ConnectionId = ConnectionId(1);

struct Rig {
    control: Control,
    reports: Producer<Report>,
    now_ns: u64,
}

impl Rig {
    /// One market, on a connection that is up.
    fn new() -> Self {
        let (orders, _) = ring(256);
        let (reports, receiver) = ring(64);
        let bell = Readiness::new().expect("an epoll set").doorbell();
        let gauge = reports.gauge();
        let parts = ControlParts {
            links: Vec::new(),
            shards: vec![ShardProxy::new(ShardId(0), None, orders, receiver, gauge, bell)],
            target: Target {
                url: "ws://127.0.0.1:9/".into(),
                host: "127.0.0.1".into(),
                tls: None,
                connector: std::sync::Arc::new(crate::io::socket::Tcp),
                heartbeat: "",
                signer: None,
            },
            discovery: Discovery::new(polymarket::feed(true), false, 1),
            lifecycle: Lifecycle::new(LifecycleOptions::default()),
            tokens_per_connection: 400,
            feed: polymarket::feed(true),
            table: None,
            sink: None,
            capture: None,
            seed: 1,
        };
        let now_ns = SECOND_NS;
        let mut control = Control::new(parts, at(now_ns));
        let info = MarketInfo {
            market: MarketId::new("11").unwrap(),
            tokens: vec![Outcome { token: TokenId::new("11").unwrap(), name: String::new() }],
            slug: String::new(),
            question: String::new(),
            start_wall_ns: None,
            end_wall_ns: None,
            tick_size: None,
            min_order_size: None,
            neg_risk: false,
        };
        control.registry.register(info, 0, Source::Manual);
        let mut rig = Self { control, reports, now_ns };
        assert!(rig.dials_within(5 * SECOND_NS));
        rig.control.dials.on_success(FROM, rig.now_ns);
        rig.control.placement.on_active(FROM, rig.now_ns);
        rig.control.attached_ns.insert(FROM, rig.now_ns);
        rig
    }

    /// Whether the connection is dialled within this time.
    fn dials_within(&mut self, span_ns: u64) -> bool {
        let deadline_ns = self.now_ns + span_ns;
        while self.now_ns < deadline_ns {
            self.now_ns += SECOND_NS / 100;
            self.control.step(at(self.now_ns));
            while let Some(errand) = self.control.poll_errand() {
                if errand == Errand::Resolve(FROM) {
                    return true;
                }
            }
        }
        false
    }
}

fn at(now_ns: u64) -> Now {
    Now { mono_ns: now_ns, wall_ns: now_ns }
}

#[test]
fn an_old_connection_that_ended_when_its_replacement_was_given_up_is_dialled_again() {
    for given_up in [false, true] {
        let mut rig = Rig::new();
        let now = at(rig.now_ns);
        rig.control.begin(&[FROM], Reason::Asked, now);
        let to = rig.control.placement.replaced_by(FROM).expect("it is being replaced");
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
        let market = rig.control.registry.market_of(&TokenId::new("11").unwrap()).unwrap();
        assert_eq!(market.connection, Some(if given_up { FROM } else { to }));
    }
}
