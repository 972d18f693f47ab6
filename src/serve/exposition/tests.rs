//! Names and descriptions of every metric.
mod complete;
mod folded;

use super::super::metrics::all;
use super::*;
use crate::counter::report::{ConnectionReport, LinkReport};
use std::collections::HashSet;

fn report() -> Arc<EngineReport> {
    let mut report = EngineReport {
        version: "1.2.3".into(),
        started_wall_ns: 1_000_000_000,
        now_wall_ns: 61_500_000_000,
        ..EngineReport::default()
    };
    report.shards = (0..2)
        .map(|shard| ShardReport {
            shard,
            intake: IntakeCounts { frames: u64::MAX, ..IntakeCounts::default() },
            ..ShardReport::default()
        })
        .collect();
    report.pool.connections.push(ConnectionReport {
        id: 7,
        state: "active".into(),
        pollution: 0.25,
        last_pong_wall_ns: 61_000_000_000,
        ..ConnectionReport::default()
    });
    report.router.push(LinkReport { name: "odd\"\\\nname".into(), ..LinkReport::default() });
    report.latencies = crate::counter::latency::Latencies::default().summaries();
    report.latencies[0].count = 3;
    report.latencies[0].p50_ns = 1_500;
    Arc::new(report)
}

#[test]
fn every_metric_has_a_name_of_its_own_a_unit_a_meaning_and_advice() {
    let mut names = HashSet::new();
    for metric in all() {
        let Metric { name, unit, meaning, when_it_rises, .. } = metric;
        assert!(names.insert(name), "{name} twice");
        assert!(name.starts_with("ringbook_") && !name.ends_with("_total"), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        assert!(!unit.is_empty() && !meaning.is_empty() && !when_it_rises.is_empty(), "{name}");
        // These texts are written without escaping.
        assert!(!meaning.contains(['\n', '\\', '"']), "{name}");
        assert_eq!(unit == "s", name.ends_with("_seconds"), "{name}");
        assert_eq!(unit == "bytes", name.ends_with("_bytes"), "{name}");
    }
}

#[test]
fn every_metric_is_described_and_values_are_exact() {
    let mut serve = ServeReport { clients: 2, ..ServeReport::default() };
    serve.requests.insert(("/book", 404), 5);
    let text = encode(&report(), &serve);
    for metric in all() {
        assert!(text.contains(&format!("# HELP {} {}\n", metric.name, metric.meaning)));
        assert!(text.contains(&format!("# TYPE {} ", metric.name)));
    }
    for line in [
        "ringbook_build_info{version=\"1.2.3\"} 1",
        "ringbook_uptime_seconds 60.5",
        "ringbook_healthy 0",
        "ringbook_shard_frames_total{shard=\"1\"} 18446744073709551615",
        "ringbook_connection_active{connection=\"7\",shard=\"0\"} 1",
        "ringbook_connection_pollution_ratio{connection=\"7\",shard=\"0\"} 0.25",
        "ringbook_connection_pong_age_seconds{connection=\"7\",shard=\"0\"} 0.5",
        "ringbook_link_depth{link=\"odd\\\"\\\\\\nname\"} 0",
        "ringbook_latency_seconds{stage=\"venue_to_read\",quantile=\"0.5\"} 0.0000015",
        "ringbook_latency_samples_total{stage=\"wake_up\"} 0",
        "ringbook_serve_clients 2",
        "ringbook_serve_requests_total{route=\"/book\",status=\"404\"} 5",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    // Values that were never measured have no series.
    assert!(!text.contains("ringbook_connection_data_age_seconds{"));
    assert!(!text.contains("ringbook_latency_seconds{stage=\"wake_up\""));
}
