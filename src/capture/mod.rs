//! Captures: what their lines say, and where things stand in their files.
//!
//! Runs on:  the capture's writer, the replay's reader (pure).
//!
//! A capture is a folder:
//!
//! | file | what |
//! |---|---|
//! | `20261127T071500123Z-000.ndjson.zst` | a segment: records ([`mod@line`]), one a line, in independent zstd frames |
//! | `20261127T071500123Z-000.index` | one line a zstd frame of it: place and time ([`index`]) |
//! | `manifest.ndjson` | runs, segments, and every gap with its cause ([`manifest`]) |
pub(crate) mod envelope;
pub mod index;
pub mod line;
pub mod manifest;
pub(crate) mod outline;
