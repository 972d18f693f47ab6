//! What a hot core does: its connections, its books, and the user's handler.
//!
//! Runs on:  shard cores, one executor each; replay runs the same books on plain threads.
//! Owns:     the shard's connections and the books that hash to it.
pub mod books;
pub mod intake;
pub mod publish;
