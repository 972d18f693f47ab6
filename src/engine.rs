//! The engine as a whole: builds links and threads in order, stops them in reverse.
//!
//! Runs on:  main thread, which is never pinned and may block. Owns: the threads.
//!
//! Start (`wiring`; `source` where a bus is read in place of venues): sockets to listen on, links, shards, control
//! core, serve core (`serving`). Stop (`running`): serve core, control
//! core (which stops the shards and waits for them), then the threads are joined.
mod host;
mod running;
mod serving;
mod source;
mod wiring;

pub use running::{Engine, ShutdownReport};

use crate::bus::BusError;
use crate::config::SettingError;
use crate::io::executor::StartError;
use crate::serve::BindError;
use crate::topology::TopologyError;
use crate::wire::{endpoint::EndpointError, tls::TlsError};

/// Why the engine cannot start: one line with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A setting cannot be used. Exit code 2.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The layout does not fit the machine. Exit code 2.
    #[error(transparent)]
    Topology(TopologyError),
    /// A certificate authority or host name is unusable. Exit code 2.
    #[error(transparent)]
    Tls(TlsError),
    /// The address for local clients cannot be used. Exit code 1.
    #[error("cannot answer local clients: {0}; set another address (`serve`, --serve)")]
    Listen(BindError),
    /// The address of the gateway cannot be used. Exit code 1.
    #[error("cannot serve the gateway: {0}; set another address (`gateway`, --gateway)")]
    Gateway(BindError),
    /// A service's address is unusable. Exit code 2.
    #[error(transparent)]
    Service(EndpointError),
    /// A thread cannot start. Exit code 1.
    #[error(transparent)]
    Start(StartError),
    /// The kernel gives no file descriptors. Exit code 1.
    #[error("no file descriptors left: {0}; raise them with `ulimit -n 65536`")]
    Files(std::io::Error),
    /// Trades cannot be stored. Exit code 1.
    #[error("trades {0} (`trades`, --trades)")]
    Trades(String),
    /// The bus cannot be used. Exit code 1.
    #[error("bus {0} (`bus`, --bus)")]
    Bus(BusError),
    /// Nothing can be captured. Exit code 1.
    #[error("capture {0} (`capture`, --capture)")]
    Capture(String),
}

impl EngineError {
    /// 2 when a setting or flag is at fault, 1 when the host is.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Setting(_) | Self::Topology(_) | Self::Tls(_) | Self::Service(_) => 2,
            Self::Listen(..)
            | Self::Gateway(..)
            | Self::Start(_)
            | Self::Files(_)
            | Self::Trades(_)
            | Self::Bus(_)
            | Self::Capture(_) => 1,
        }
    }
}
