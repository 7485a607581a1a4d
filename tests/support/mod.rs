//! What the tests over real processes share: nodes, a relay between them, clients, patience and dice.
//!
//! Every binary of tests uses its part of it. Whatever starts a process, a thread or a mount ends it when it is dropped, also when a test
//! fails: nothing may outlive its scenario.
#![allow(dead_code, reason = "each binary of tests uses its part")]

pub(crate) mod audience;
pub(crate) mod cluster;
pub(crate) mod device;
pub(crate) mod dice;
pub(crate) mod http;
pub(crate) mod issuer;
pub(crate) mod node;
pub(crate) mod patience;
pub(crate) mod process;
pub(crate) mod relay;
pub(crate) mod watcher;

/// For what is shared with tests over nodes in their own process.
#[allow(unused_imports, reason = "not every test binary shares those")]
pub(crate) use patience::SOON as DEADLINE;
