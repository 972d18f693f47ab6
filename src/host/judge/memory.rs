//! Memory: page size, swap, limits, NUMA.
//!
//! Runs on:  main thread (pure).
use super::{Finding, tune};
use crate::host::{Facts, Profile};

const PAGES: Option<&str> = Some("huge-pages");

/// Memory for an engine that follows every book, with room, bytes.
const MEMORY_WANTED_BYTES: u64 = 1 << 30;

pub(super) fn huge_pages(facts: &Facts, profile: &Profile) -> Finding {
    let Some(found) = &facts.transparent_huge_pages else {
        return Finding::info("huge-pages", PAGES, "no transparent huge pages in this kernel");
    };
    let fine = profile.word("transparent_huge_pages").is_none_or(|wanted| wanted == found);
    let ok = Finding::ok("huge-pages", PAGES, format!("transparent: {found}"));
    Finding::unless(fine, ok, tune("huge-pages", profile))
}

pub(super) fn swap(facts: &Facts) -> Finding {
    let Some((used, all)) = facts.swap_bytes else {
        return Finding::info("swap", None, "not reported by the kernel");
    };
    if all == 0 {
        return Finding::ok("swap", None, "none");
    }
    let found = format!("{} MiB, {} used", all >> 20, used >> 20);
    Finding::unless(
        used == 0,
        Finding::ok("swap", None, found),
        "swapping in a page stops a shard for milliseconds: swapoff -a, or MemorySwapMax=0",
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
        "following all books needs hundreds of MiB: MemoryMax=1G or more",
    )
}

pub(super) fn numa(facts: &Facts) -> Finding {
    match facts.numa_nodes {
        0 => Finding::info("numa", None, "not reported by the kernel"),
        1 => Finding::ok("numa", None, "1 node"),
        nodes => Finding::info(
            "numa",
            None,
            format!(
                "{nodes} nodes: keep all shards on the network card's node (/sys/class/net/*/device/numa_node)"
            ),
        ),
    }
}
