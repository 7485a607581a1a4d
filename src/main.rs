//! The `leftoff` program.
fn main() {}
