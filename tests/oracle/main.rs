//! The oracle: replayed books against a second, naive implementation.
//!
//! Nothing here was written from the engine's source: the reference comes from the venue's protocol
//! page, the recordings from others, the streams from a generator of its own. The engine is only
//! ever the binary, seen through [`binary`].
#![allow(clippy::unwrap_used)] // tests

mod binary;
mod checks;
mod compare;
mod decimal;
mod fixtures;
mod generate;
mod hash;
mod imported;
mod kalshi;
mod malformed;
mod recorded;
mod reference;
mod stored;
mod streams;
