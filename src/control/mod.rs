//! The control core: what *should* be. Every market, its connection, and when each is dialled.
//!
//! Runs on:  the control core. The files named here are pure: time comes in, actions come out.
pub mod dialing;
pub mod discovery;
pub mod lifecycle;
pub mod placement;
pub mod registry;
#[cfg(test)]
mod tests;
