//! What the host's settings are worth to this engine, for the server.
//!
//! Runs on:  a thread for each verdict; reads only.
use crate::host::facts::Layout;
use crate::host::{Profile, judge, show};
use crate::io::host::facts;
use crate::serve::host::Judge;
use crate::topology::{Idle, Topology};
use std::thread;
use std::time::Duration;

/// Time in which interrupts and steal are counted.
const WINDOW: Duration = Duration::from_millis(500);

pub(super) fn host_judge(topology: &Topology) -> Judge {
    let layout = Layout {
        shard_cores: topology.shards.iter().filter_map(|shard| shard.core).collect(),
        threads: topology.threads().count(),
        spins: topology.shards.iter().any(|shard| shard.idle == Idle::Spin),
    };
    Box::new(move |verdict| {
        let layout = layout.clone();
        let judge_now = move || {
            let mut facts = facts(WINDOW);
            facts.layout = Some(layout);
            let profile = Profile::guess(&facts);
            let findings = judge(&facts, &profile);
            if let Ok(text) = sonic_rs::to_string(&show::report(&facts, &profile, &findings)) {
                // Nobody else sets it.
                let _ = verdict.set(text);
            }
        };
        // Without a thread the verdict stays out, and the client is asked to come again.
        let _ = thread::Builder::new().name("host".into()).spawn(judge_now);
    })
}
