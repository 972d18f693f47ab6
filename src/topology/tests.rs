//! Layouts for machines of 1, 2, 4 and 64 cores.
use super::cores::format_cores;
use super::*;

fn cores(count: u32) -> Vec<u32> {
    (0..count).collect()
}

fn plan(flags: &RequestedLayout, count: u32) -> Topology {
    Topology::plan(flags, &cores(count)).unwrap()
}

/// Core of control, cores of the shards, core of serve.
fn places(topology: &Topology) -> (Option<u32>, Vec<u32>, Option<u32>) {
    let shards = topology.shards.iter().map(|shard| shard.core.unwrap()).collect();
    (topology.control.core, shards, topology.serve.core)
}

fn spin() -> RequestedLayout {
    RequestedLayout { idle: Some(Idle::Spin), ..RequestedLayout::default() }
}

#[test]
fn lists_of_cores_are_read_or_refused_precisely() {
    assert_eq!(parse_cores("1-3,5"), Ok(vec![1, 2, 3, 5]));
    assert_eq!(parse_cores(" 7 , 0 - 1 "), Ok(vec![7, 0, 1]));
    assert_eq!(parse_cores("2,2"), Ok(vec![2, 2]));
    let text = |list: &str| parse_cores(list).unwrap_err().to_string();
    assert_eq!(text("1-3,x"), "\"x\" is neither a core nor a range such as 1-3");
    assert_eq!(text("1-,2"), "\"1-\" is neither a core nor a range such as 1-3");
    assert_eq!(text("-1"), "\"-1\" is neither a core nor a range such as 1-3");
    assert_eq!(text("+1"), "\"+1\" is neither a core nor a range such as 1-3");
    assert_eq!(text("1-2-3"), "\"1-2-3\" is neither a core nor a range such as 1-3");
    assert_eq!(text("1,,2"), "part 2 of the core list is empty");
    assert_eq!(text(""), "part 1 of the core list is empty");
    assert_eq!(text("3-1"), "the range \"3-1\" ends before it begins");
    assert_eq!(text("0-99999999999"), "\"0-99999999999\": cores are numbered 0 to 4095");
    assert_eq!(format_cores(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
    assert_eq!(format_cores(&[]), "");
}

#[test]
fn every_machine_has_a_default() {
    let flags = RequestedLayout::default();
    let one = plan(&flags, 1);
    assert_eq!(places(&one), (None, vec![0], None));
    assert_eq!(one.notes.len(), 2);
    let two = plan(&flags, 2);
    assert_eq!(places(&two), (Some(0), vec![1], Some(0)));
    assert_eq!(two.notes, ["control and serve share core 0: no other is left"]);
    let four = plan(&flags, 4);
    assert_eq!(places(&four), (Some(0), vec![1, 2], Some(3)));
    assert!(four.notes.is_empty());
    let many = plan(&flags, 64);
    assert_eq!(places(&many), (Some(0), (1..=8).collect(), Some(9)));
    for topology in [one, two, four, many] {
        assert!(topology.threads().all(|thread| thread.idle == Idle::Park));
    }
}

#[test]
fn two_shards_on_two_cores_are_allowed() {
    let two = plan(&RequestedLayout { shards: Some(2), ..spin() }, 2);
    assert_eq!(places(&two), (None, vec![0, 1], None));
    assert!(two.shards.iter().all(|shard| shard.idle == Idle::ADAPTIVE));
    assert_eq!((two.control.idle, two.serve.idle), (Idle::Park, Idle::Park));
    assert!(two.notes.iter().any(|note| note.contains("spin is not possible")), "{:?}", two.notes);
    let crowded = plan(&RequestedLayout { shards: Some(5), ..RequestedLayout::default() }, 2);
    assert_eq!(places(&crowded), (None, vec![0, 1, 0, 1, 0], None));
    assert!(crowded.notes[0].contains("5 shards share 2 usable cores"));
}

#[test]
fn shards_spin_where_each_has_a_core_and_one_is_left() {
    for (count, spins) in [(1, false), (2, true), (4, true), (64, true)] {
        let topology = plan(&spin(), count);
        let idle = if spins { Idle::Spin } else { Idle::ADAPTIVE };
        assert!(topology.shards.iter().all(|shard| shard.idle == idle), "{count} cores");
        assert_eq!((topology.control.idle, topology.serve.idle), (Idle::Park, Idle::Park));
    }
    let all = plan(&RequestedLayout { shards: Some(4), ..spin() }, 4);
    assert!(all.shards.iter().all(|shard| shard.idle == Idle::ADAPTIVE));
    let named = RequestedLayout {
        control_core: Some(0),
        serve_core: Some(0),
        shard_cores: vec![3, 1],
        ..spin()
    };
    let topology = plan(&named, 4);
    assert_eq!(places(&topology), (Some(0), vec![3, 1], Some(0)));
    assert!(topology.notes.is_empty() && topology.shards[0].idle == Idle::Spin);
}

#[test]
fn impossible_requests_are_refused() {
    let refuse =
        |flags: &RequestedLayout, usable: &[u32]| Topology::plan(flags, usable).unwrap_err();
    let flags = |control, shards: &[u32], serve| RequestedLayout {
        control_core: control,
        shard_cores: shards.to_vec(),
        serve_core: serve,
        ..RequestedLayout::default()
    };
    let text = refuse(&flags(None, &[1, 9], None), &[0, 1, 2, 5]).to_string();
    assert_eq!(text, "shard-cores: core 9 is not usable here; usable: 0-2,5");
    let text = refuse(&flags(Some(4), &[], None), &[0]).to_string();
    assert_eq!(text, "control-core: core 4 is not usable here; usable: 0");
    assert!(refuse(&flags(None, &[], Some(4)), &[0]).to_string().starts_with("serve-core"));
    assert_eq!(refuse(&RequestedLayout::default(), &[]), TopologyError::NoCores);

    let twice = |flags: RequestedLayout| RequestedLayout { idle: Some(Idle::Spin), ..flags };
    let error = TopologyError::CoreTwice { core: 1 };
    assert_eq!(refuse(&twice(flags(None, &[1, 1], None)), &cores(4)), error);
    assert_eq!(refuse(&twice(flags(Some(1), &[1], None)), &cores(4)), error);
    assert_eq!(refuse(&twice(flags(None, &[1], Some(1))), &cores(4)), error);
    let parked = plan(&flags(None, &[1, 1], None), 4);
    assert_eq!(parked.notes, ["core 1 is assigned to more than one shard"]);

    let count = |shards| RequestedLayout { shards: Some(shards), ..RequestedLayout::default() };
    assert_eq!(refuse(&count(0), &[0]), TopologyError::ShardCount { shards: 0 });
    assert!(matches!(refuse(&count(u16::MAX), &[0]), TopologyError::ShardCount { .. }));
    let both = RequestedLayout { shard_cores: vec![0, 1], ..count(3) };
    let error = TopologyError::ShardsAndCores { shards: 3, cores: 2 };
    assert_eq!(refuse(&both, &cores(4)), error);
}

#[test]
fn requested_cores_are_assigned_and_the_rest_is_spread() {
    let flags =
        RequestedLayout { control_core: Some(2), shards: Some(2), ..RequestedLayout::default() };
    assert_eq!(places(&plan(&flags, 4)), (Some(2), vec![0, 1], Some(3)));
    let flags = RequestedLayout { shard_cores: vec![0, 1, 2], ..RequestedLayout::default() };
    assert_eq!(places(&plan(&flags, 4)), (Some(3), vec![0, 1, 2], Some(3)));
    // Usable cores may have gaps.
    let topology = Topology::plan(&RequestedLayout::default(), &[4, 6, 9, 12]).unwrap();
    assert_eq!(places(&topology), (Some(4), vec![6, 9], Some(12)));
}

#[test]
fn the_table_names_threads_links_and_depths() {
    let text = plan(&spin(), 4).to_string();
    assert!(text.contains("shard-1          2  spin          sockets, decode, books\n"), "{text}");
    assert!(text.contains("control          0  park          registry"), "{text}");
    assert!(text.contains("control_shard-1        1024\n"), "{text}");
    assert!(text.contains("control_serve            16\n"), "{text}");
    assert!(plan(&RequestedLayout::default(), 1).to_string().contains("note: serve is not pinned"));
    assert_eq!(plan(&spin(), 4).links().len(), 10);
}
