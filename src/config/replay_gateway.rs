//! The flags of `ringbook gateway`.
//!
//! Runs on:  the starting thread.
use super::gateway::{GatewayAccess, GatewayAccessFlags};
use super::replay::{PartFlags, by_venue, files};
use super::{SettingError, UsageError};
use crate::base::limits::{GATEWAY_REPLAYS, GATEWAY_REPLAYS_MAX};
use crate::gateway::StalePolicy;
use crate::gateway::hub::Settings;
use crate::io::file::{self, segments};
use crate::replay::plan::Speed;
use crate::replay::{Recording, damaged_file, foreign_file};
use crate::replay_gateway::sessions::{Defaults, parse_speed};
use crate::venue::Feed;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Serve recorded days in the venues' own protocols: each WebSocket has a replay of its own.
///
/// A client chooses in its address: `?from=TIME&to=TIME&speed=SPEED`; --from, --to and --speed are for those that do
/// not. It gets the books as of the beginning when it subscribes, then what was received up to the end, then close code
/// 1000. REST requests are answered as of --from, else as of the last record.
///
/// Exit code: 0; 1 when a file cannot be read or the address cannot be used; 2 for wrong flags.
#[derive(Clone, Debug, clap::Args)]
pub struct GatewayArgs {
    /// Captures of `ringbook run --capture DIR`, or recordings as `ringbook replay` reads them; files, folders, or a
    /// folder of such folders, of one venue or of both
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,

    /// Where to listen: Polymarket on this port, its catalog (Gamma) on the next, Kalshi on the second after it; port 0
    /// is a free one for each
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9400")]
    pub listen: SocketAddr,

    /// Venue, and the range of time for clients that do not choose one.
    #[command(flatten)]
    pub part: PartFlags,

    /// Speed for clients that do not say it: `max`, or a multiple of the recorded speed such as 1 or 10
    #[arg(long, value_name = "SPEED", default_value = "1", value_parser = parse_speed)]
    pub speed: Speed,

    /// Replays at once, two threads each; a further client is answered 503
    #[arg(long, value_name = "COUNT", default_value_t = GATEWAY_REPLAYS,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(GATEWAY_REPLAYS_MAX)))]
    pub replays: u16,

    /// What a client of a venue's protocol receives when a book is stale: nothing until it is live again, an empty
    /// book, or the end of the connection (close code 1012)
    #[arg(long, value_enum, value_name = "POLICY", default_value = "clear")]
    pub gateway_stale: StalePolicy,

    /// MiB that may wait for one client; the replay waits for it
    #[arg(long, value_name = "MIB", default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub gateway_buffer: u32,

    /// TLS and signatures.
    #[command(flatten)]
    pub access: GatewayAccessFlags,
}

impl GatewayArgs {
    /// Checks the flags together.
    ///
    /// # Errors
    /// One line with flag and remedy; exit code 2.
    pub fn check(&self) -> Result<(Defaults, Settings), String> {
        self.part.range()?;
        let PartFlags { from, to, .. } = self.part;
        let defaults = Defaults { from_ns: from, to_ns: to, speed: self.speed };
        let buffer_bytes = (self.gateway_buffer as usize) << 20;
        let settings = Settings { buffer_bytes, stale: self.gateway_stale, ..Settings::default() };
        Ok((defaults, settings))
    }

    /// TLS and signatures of the gateway.
    ///
    /// # Errors
    /// One line with flag and remedy; exit code 2.
    pub fn access<'v>(
        &self,
        venues: impl IntoIterator<Item = &'v str>,
    ) -> Result<GatewayAccess, UsageError> {
        let mut access = GatewayAccess::from_flags(&self.access, venues)?;
        // The address has another flag here.
        let of_listen =
            |error: SettingError| SettingError(error.0.replacen("gateway", "listen", 1));
        access.check(self.listen).map_err(of_listen)?;
        access.prepare(self.listen)?;
        Ok(access)
    }

    /// The recordings, one for each venue.
    ///
    /// # Errors
    /// A file cannot be read, or its venue is not recognized; exit code 1.
    pub fn recordings(&self) -> Result<Vec<Recording>, String> {
        recordings(&self.captures, self.part.venue)
    }
}

/// The recordings that are named, one for each venue; of both venues only `venue`, if it is given. Runs of both venues
/// may have recorded into one folder.
///
/// # Errors
/// A file cannot be read, or its venue is not recognized; exit code 1.
pub(super) fn recordings(
    captures: &[PathBuf],
    venue: Option<Feed>,
) -> Result<Vec<Recording>, String> {
    let mut recordings: Vec<Recording> = Vec::new();
    for path in captures {
        let files = files(&within(path)?)?;
        let mut bytes = 0;
        for source in &files {
            bytes += file::look(source)?.len.ok_or_else(|| {
                format!("{source} can be read only once: save it to a file first")
            })?;
        }
        if let Some(line) = files.iter().find_map(foreign_file) {
            return Err(line);
        }
        let found = by_venue(files.clone(), venue).ok_or_else(|| match bytes {
            0 => format!("{}: the file is empty", path.display()),
            _ => {
                let damage = files.iter().find_map(damaged_file);
                damage.unwrap_or_else(|| format!("{}: {UNKNOWN}", path.display()))
            }
        })?;
        for Recording { feed, files } in found {
            match recordings.iter_mut().find(|known| known.feed == feed) {
                Some(known) => known.files.extend(files),
                None => recordings.push(Recording { feed, files }),
            }
        }
    }
    Ok(recordings)
}

const UNKNOWN: &str = "no message of a venue is recognized: give recorded frames, one a line; if they are, name their venue by --venue";

/// The captures in a folder that is none itself; else the path.
pub(super) fn within(path: &Path) -> Result<Vec<PathBuf>, String> {
    let mut captures = Vec::new();
    if path.is_dir() && segments(path)?.is_empty() {
        for folder in file::folders(path)? {
            if !segments(&folder)?.is_empty() {
                captures.push(folder);
            }
        }
    }
    Ok(if captures.is_empty() { vec![path.to_owned()] } else { captures })
}
