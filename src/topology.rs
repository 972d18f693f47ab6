//! Thread and ring layout: which threads run on which cores.
//!
//! Runs on:  the main thread (pure: the usable cores are an argument).
//! Bounds:   [`limits::SHARDS_MAX`] shards.
//!
//! Only shards may spin or adapt; control core and serve core always park. A spinning shard needs a core that no other
//! thread of the engine is pinned to, and one usable core must remain for the others. An impossible request is refused
//! if it names a core, and otherwise adapted with a note, so that the same command line runs on 2 and on 64 cores.
mod cores;
mod show;
#[cfg(test)]
mod tests;

pub use crate::base::policy::Idle;
pub use cores::{CoreListError, format_cores, parse_cores};

use crate::base::limits;

/// Layout settings; missing ones are chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestedLayout {
    /// Core of the control thread.
    pub control_core: Option<u32>,
    /// Cores of the shards, one each; empty: chosen. See [`parse_cores`].
    pub shard_cores: Vec<u32>,
    /// Number of shards.
    pub shards: Option<u16>,
    /// Core of the serve thread.
    pub serve_core: Option<u32>,
    /// Idle behavior of shards.
    pub idle: Option<Idle>,
}

/// One thread of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadPlan {
    /// Name: `control`, `shard-0`, `serve`.
    pub name: String,
    /// Short description.
    pub role: &'static str,
    /// The core it is pinned to; `None`: not pinned.
    pub core: Option<u32>,
    /// Idle behavior.
    pub idle: Idle,
}

/// One ring between two threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPlan {
    /// Capacity in messages.
    pub name: String,
    /// Messages that fit.
    pub depth: usize,
}

/// Threads and links of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The control thread.
    pub control: ThreadPlan,
    /// The shards, ascending; at least one.
    pub shards: Vec<ThreadPlan>,
    /// The serve thread.
    pub serve: ThreadPlan,
    /// Adaptations to this machine, as text.
    pub notes: Vec<String>,
}

/// Why a layout is refused, in the names of the settings: flags have the same names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// The process may not run on any core.
    #[error("this process may not run on any core")]
    NoCores,
    /// A requested core is not usable.
    #[error("{setting}: core {core} is not usable here; usable: {}", cores::format_cores(.usable))]
    CoreNotUsable {
        /// The setting.
        setting: &'static str,
        /// The core.
        core: u32,
        /// Usable cores.
        usable: Vec<u32>,
    },
    /// The core of a spinning shard is also assigned to another thread.
    #[error(
        "core {core} is assigned to two threads, one of them a spinning shard; use another core or idle park"
    )]
    CoreTwice {
        /// The core.
        core: u32,
    },
    /// The number of shards is 0 or above [`limits::SHARDS_MAX`].
    #[error("shards {shards}: must be 1 to {}", limits::SHARDS_MAX)]
    ShardCount {
        /// The requested number.
        shards: usize,
    },
    /// `shards` and `shard-cores` disagree.
    #[error("shards {shards}, but shard-cores has {cores} cores; give one of the two")]
    ShardsAndCores {
        /// The requested number of shards.
        shards: usize,
        /// The number of cores in `shard-cores`.
        cores: usize,
    },
}

struct Chosen {
    control: Option<u32>,
    shards: Vec<u32>,
    serve: Option<u32>,
    notes: Vec<String>,
}

impl Topology {
    /// Assigns threads to the usable cores, in the given order.
    ///
    /// # Errors
    /// [`TopologyError`]: an impossible request.
    pub fn plan(flags: &RequestedLayout, usable: &[u32]) -> Result<Self, TopologyError> {
        let shards = check(flags, usable)?;
        let Chosen { control, shards, serve, mut notes } = choose(flags, shards, usable);
        let spins = flags.idle == Some(Idle::Spin) && may_spin(&shards, control, serve, usable);
        if flags.idle == Some(Idle::Spin) && !spins {
            let (threads, cores) = (shards.len() + 2, usable.len());
            notes.push(format!(
                "--idle spin is not possible: {threads} threads share {cores} usable cores; \
                 shards are adaptive instead"
            ));
        }
        let idle = match flags.idle.unwrap_or_default() {
            Idle::Spin if !spins => Idle::ADAPTIVE,
            idle => idle,
        };
        let thread = |name: String, role, core, idle| ThreadPlan { name, role, core, idle };
        Ok(Self {
            control: thread(
                "control".to_owned(),
                "registry, discovery, placement, dials",
                control,
                Idle::Park,
            ),
            shards: (shards.iter().enumerate())
                .map(|(i, &core)| {
                    thread(format!("shard-{i}"), "sockets, decode, books", Some(core), idle)
                })
                .collect(),
            serve: thread("serve".to_owned(), "local HTTP", serve, Idle::Park),
            notes,
        })
    }

    /// All threads: control, shards ascending, serve.
    pub fn threads(&self) -> impl Iterator<Item = &ThreadPlan> {
        std::iter::once(&self.control).chain(&self.shards).chain(std::iter::once(&self.serve))
    }

    /// All rings between them.
    pub fn links(&self) -> Vec<LinkPlan> {
        let mut links = Vec::new();
        let mut add = |name: String, depth| links.push(LinkPlan { name, depth });
        for i in 0..self.shards.len() {
            add(format!("control_shard-{i}"), limits::CONTROL_SHARD_DEPTH);
            add(format!("shard_control-{i}"), limits::SHARD_CONTROL_DEPTH);
            add(format!("serve_shard-{i}"), limits::SERVE_SHARD_DEPTH);
            add(format!("shard_serve-{i}"), limits::SERVE_SHARD_DEPTH);
        }
        add("serve_control".to_owned(), limits::SERVE_CONTROL_DEPTH);
        add("control_serve".to_owned(), limits::SERVE_CONTROL_DEPTH);
        links
    }
}

/// The number of shards, if the request is possible.
fn check(flags: &RequestedLayout, usable: &[u32]) -> Result<usize, TopologyError> {
    if usable.is_empty() {
        return Err(TopologyError::NoCores);
    }
    let named = [("control-core", flags.control_core), ("serve-core", flags.serve_core)];
    let named = named.into_iter().filter_map(|(setting, core)| Some((setting, core?)));
    let shard_cores = flags.shard_cores.iter().map(|&core| ("shard-cores", core));
    for (setting, core) in named.clone().chain(shard_cores) {
        if !usable.contains(&core) {
            return Err(TopologyError::CoreNotUsable { setting, core, usable: usable.to_vec() });
        }
    }
    let given = flags.shard_cores.len();
    // One core each for control and serve, the rest for shards.
    let default = usable.len().saturating_sub(2).clamp(1, limits::SHARDS_DEFAULT_MAX);
    let shards = match flags.shards.map(usize::from) {
        Some(shards) if given > 0 && given != shards => {
            return Err(TopologyError::ShardsAndCores { shards, cores: given });
        }
        Some(shards) => shards,
        None if given > 0 => given,
        None => default,
    };
    if shards == 0 || shards > limits::SHARDS_MAX {
        return Err(TopologyError::ShardCount { shards });
    }
    if flags.idle == Some(Idle::Spin) {
        for (i, &core) in flags.shard_cores.iter().enumerate() {
            let others = named.clone().map(|(_, core)| core);
            if flags.shard_cores[..i].iter().copied().chain(others).any(|other| other == core) {
                return Err(TopologyError::CoreTwice { core });
            }
        }
    }
    Ok(shards)
}

/// Assigns a core to every thread: first the requested ones, then the remaining.
fn choose(flags: &RequestedLayout, shards: usize, usable: &[u32]) -> Chosen {
    let mut notes = Vec::new();
    let taken = |core: &u32| {
        flags.shard_cores.contains(core)
            || flags.control_core == Some(*core)
            || flags.serve_core == Some(*core)
    };
    let mut free = usable.iter().copied().filter(|core| !taken(core));
    let free_count = free.clone().count();
    let shards_wanted = if flags.shard_cores.is_empty() { shards } else { 0 };
    let others_wanted =
        usize::from(flags.control_core.is_none()) + usize::from(flags.serve_core.is_none());
    // Shards take precedence; control and serve share what is left.
    let left = free_count.saturating_sub(shards_wanted);
    let mut control = flags.control_core;
    if control.is_none() && left > 0 {
        control = free.next();
    }
    let shard_cores: Vec<u32> = if shards_wanted == 0 {
        flags.shard_cores.clone()
    } else if free_count >= shards_wanted {
        free.by_ref().take(shards_wanted).collect()
    } else {
        notes.push(format!(
            "{shards_wanted} shards share {} usable cores: each gets a part of one",
            usable.len()
        ));
        usable.iter().copied().cycle().take(shards_wanted).collect()
    };
    let mut serve = flags.serve_core;
    if serve.is_none() {
        let own = if left >= others_wanted { free.next() } else { None };
        serve = own.or(if flags.control_core.is_none() && left > 0 { control } else { None });
        if own.is_none()
            && let Some(core) = serve
        {
            notes.push(format!("control and serve share core {core}: no other is left"));
        }
    }
    for (name, core) in [("control", control), ("serve", serve)] {
        if core.is_none() {
            notes.push(format!("{name} is not pinned: no usable core is left for it"));
        }
    }
    let mut pinned = shard_cores.clone();
    pinned.sort_unstable();
    let twice = pinned.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    if let Some(core) = twice.filter(|_| shards_wanted == 0) {
        notes.push(format!("core {core} is assigned to more than one shard"));
    }
    Chosen { control, shards: shard_cores, serve, notes }
}

/// Whether every shard has its own core, and one usable core is left for the other threads.
fn may_spin(shards: &[u32], control: Option<u32>, serve: Option<u32>, usable: &[u32]) -> bool {
    let alone = |i: usize, core: u32| {
        !shards[..i].contains(&core) && control != Some(core) && serve != Some(core)
    };
    let left = usable.iter().any(|core| !shards.contains(core));
    left && shards.iter().enumerate().all(|(i, &core)| alone(i, core))
}
