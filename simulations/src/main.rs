//! `leftoff-sim`: the partition simulator's command line.

fn main() {}
