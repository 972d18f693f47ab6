//! `ringbook`: the command line.
fn main() {}
