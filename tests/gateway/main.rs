//! The gateway and its node from outside: real nodes on loopback, real sockets, real folders.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so")]
#![allow(clippy::format_collect, reason = "short texts, once a test")]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "nobody links against a test, and each area uses its part of what they share")]

mod admin;
mod auth;
mod backup;
mod beacons;
mod by_hand;
mod churn;
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
mod rotation;
mod sessions;
#[path = "../ws/socket.rs"]
mod socket;
mod support;
mod tenants;
mod web;
