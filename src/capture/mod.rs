//! Capture format: records, index and manifest.
//!
//! Runs on:  the capture's writer, the replay's reader (pure).
//!
//! A capture is a folder:
//!
//! | file | what |
//! |---|---|
//! | `20261127T071500123Z-000.ndjson.zst` | a segment: one record ([`mod@line`]) per line, in independent zstd frames |
//! | `20261127T071500123Z-000.index` | one line per zstd frame: offset and times ([`index`]) |
//! | `manifest.ndjson` | runs, segments, and all gaps with causes ([`manifest`]) |
pub(crate) mod envelope;
pub mod index;
pub mod line;
pub mod manifest;
pub(crate) mod outline;
