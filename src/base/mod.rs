//! Types that every layer uses: identifiers, prices, time units, limits, routing, randomness.
//!
//! Runs on:  any (pure). Uses nothing else of this crate.
pub mod condition;
pub mod id;
pub mod limits;
pub mod policy;
pub(crate) mod prefetch;
pub mod price;
pub(crate) mod public_key;
pub mod random;
pub mod routing;
pub mod slices;
pub mod text;
pub mod time;
