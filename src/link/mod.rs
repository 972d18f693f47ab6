//! The links between cores, one file each: message types, depth, what happens when one is full.
//!
//! Runs on:  both ends of each link. One producer and one consumer per link; neither waits.
pub mod cluster_control;
pub mod control_shard;
pub mod control_sink;
pub mod main_control;
pub mod replay_gate;
pub mod serve_bus;
pub mod serve_control;
pub mod serve_history;
pub mod serve_shard;
pub mod shard_capture;
pub mod shard_control;
pub mod shard_shard;
pub mod shard_trade;
pub mod shard_updates;
