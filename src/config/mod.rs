//! Flags and files, as given and as checked.
//!
//! Runs on:  the starting thread.
pub mod replay;
