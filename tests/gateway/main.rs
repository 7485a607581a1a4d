//! The gateway and its node from outside: real nodes on loopback, real sockets, real folders.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so")]
#![allow(clippy::format_collect, reason = "short texts, once a test")]
#![allow(missing_docs, unreachable_pub, reason = "nobody links against a test")]

mod admin;
mod auth;
mod backup;
mod by_hand;
mod cli;
mod dialects;
mod events;
mod full_disk;
mod history;
mod hostile;
mod https;
mod issuer;
mod library;
mod pages;
mod parties;
mod payloads;
mod process;
mod rates;
mod reads;
mod sessions;
mod support;
mod tenants;
mod web;
