//! `venue-sim`: a Polymarket of our own (stub).
fn main() {}
