//! Memory: pages, swap, bounds, nodes.
//!
//! Runs on:  main thread (pure).
use super::{Finding, tune};
use crate::host::{Facts, Profile};

const PAGES: Option<&str> = Some("huge-pages");

/// What an engine that follows every book may take with room, bytes.
const MEMORY_WANTED_BYTES: u64 = 1 << 30;

pub(super) fn huge_pages(facts: &Facts, profile: &Profile) -> Finding {
    let Some(found) = &facts.transparent_huge_pages else {
        return Finding::info("huge-pages", PAGES, "this kernel has no transparent huge pages");
    };
    let fine = profile.word("transparent_huge_pages").is_none_or(|wanted| wanted == found);
    let ok = Finding::ok("huge-pages", PAGES, format!("transparent: {found}"));
    Finding::unless(fine, ok, tune("huge-pages", profile))
}

pub(super) fn swap(facts: &Facts) -> Finding {
    let Some((used, all)) = facts.swap_bytes else {
        return Finding::info("swap", None, "the kernel does not say");
    };
    if all == 0 {
        return Finding::ok("swap", None, "none");
    }
    let found = format!("{} MiB, {} used", all >> 20, used >> 20);
    Finding::unless(
        used == 0,
        Finding::ok("swap", None, found),
        "a page that comes back from a disk stops a shard for milliseconds: swapoff -a, or MemorySwapMax=0",
    )
}

pub(super) fn memory_bound(facts: &Facts) -> Finding {
    let Some(bytes) = facts.memory_max_bytes else {
        return Finding::ok("memory-bound", None, "none");
    };
    let ok =
        Finding::ok("memory-bound", None, format!("{} MiB of this control group", bytes >> 20));
    Finding::unless(
        bytes >= MEMORY_WANTED_BYTES,
        ok,
        "every book of the venue with its connections takes hundreds of MiB: MemoryMax=1G or more",
    )
}

pub(super) fn numa(facts: &Facts) -> Finding {
    match facts.numa_nodes {
        0 => Finding::info("numa", None, "the kernel does not say"),
        1 => Finding::ok("numa", None, "1 node"),
        nodes => Finding::info(
            "numa",
            None,
            format!(
                "{nodes} nodes: keep all shards on the network card's (/sys/class/net/*/device/numa_node)"
            ),
        ),
    }
}
