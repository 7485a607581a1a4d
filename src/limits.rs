//! Every bound of the protocol and of memory in one place, each with its unit, related by compile-time assertions.
//!
//! A bound that an operator may change lives in the configuration with its default here; a bound that peers must agree on, or that protects
//! a decoder, is a constant of the protocol.

/// Longest id (profile, title, device, series, session), in bytes of UTF-8.
pub const ID_BYTES_MAX: usize = 128;

/// Largest position that a report may carry, in milliseconds (about 116 days).
pub const POSITION_MS_MAX: u64 = 10_000_000_000;

/// A position may exceed its own event's duration by this much and is then clamped to it, in milliseconds.
pub const POSITION_OVER_DURATION_MS_MAX: u64 = 5_000;

/// Places kept in a register: the way back.
pub const PLACES_COUNT_MAX: usize = 8;

/// Titles in a profile. Checked where an event is recorded, never at a merge.
pub const TITLES_PER_PROFILE_COUNT_MAX: usize = 10_000;

/// Grace window of the last activity, in milliseconds. A constant of the protocol: peers that differ refuse each other in the hello.
pub const ACTIVITY_WINDOW_MS: u64 = 5_000;

/// Largest difference between a stamp and the receiver's clock before the stamp is refused, in milliseconds (default of `max_clock_drift`).
pub const CLOCK_DRIFT_MS_MAX: u64 = 60_000;

/// Highest stamp or version that can be encoded: 2^53 - 1, exact in a JavaScript number.
pub const STAMP_MAX: u64 = (1 << 53) - 1;

/// Low bits of a stamp that hold its counter.
pub const STAMP_COUNTER_BITS: u32 = 10;

/// Reports of one playhead that are remembered to recognise a retry.
pub const PLAYHEAD_REPORTS_REMEMBERED: usize = 32;

/// Earlier places of one playhead that are remembered for reports that arrive late.
pub const PLAYHEAD_MOVES_REMEMBERED: usize = 4;

/// Encoded register, in bytes, without its key: eight places, ids of full length, every field present.
pub const REGISTER_BYTES_MAX: usize = 640;

/// Encoded register with its key, in bytes.
pub const RECORD_BYTES_MAX: usize = REGISTER_BYTES_MAX + 2 * (ID_BYTES_MAX + 2) + 16;

/// Events in one batch.
pub const EVENTS_PER_BATCH_COUNT_MAX: usize = 1_000;

/// Body of one batch of events over HTTP, in bytes.
pub const EVENTS_BODY_BYTES_MAX: usize = 1 << 20;

/// Payload of one log frame, in bytes.
pub const LOG_FRAME_BYTES_MAX: usize = 4 << 20;

/// Value in the engine, in bytes: far below the size at which sled moves items to files that it never syncs.
pub const PAGE_BYTES_MAX: usize = 4 << 10;

/// Frame between replicas, in bytes, header included.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// First frame of a link, in bytes: a greeting with the longest token, and any frame that ends a link instead.
pub const HELLO_FRAME_BYTES_MAX: usize = 16 << 10;

/// Live frame that gathers changes while another is in flight, in bytes.
pub const LIVE_FRAME_BYTES: usize = 64 << 10;

/// Unacknowledged record bytes in flight to one peer.
pub const IN_FLIGHT_BYTES_MAX: usize = 4 << 20;

/// Refused keys listed in one acknowledgement; further ones are listed in the next.
pub const REFUSED_PER_ACK_COUNT_MAX: usize = 256;

/// Nodes whose changes a node keeps account of, for itself and on behalf of each peer; of further ones every change is passed on.
pub const NEIGHBOURS_COUNT_MAX: usize = 256;

/// Longest wait before the next link that a peer's goodbye may ask for, in milliseconds; a longer one counts as this.
pub const BYE_RETRY_MS_MAX: u64 = 3_600_000;

/// Addresses of other nodes in one frame.
pub const PEERS_PER_FRAME_COUNT_MAX: usize = 256;

/// Devices of one account whose cursors a node remembers. A further one is reconciled when it connects.
pub const CURSORS_PER_ACCOUNT_COUNT_MAX: usize = 64;

/// Titles that devices' links may bring a profile to: as many again as are begun one by one, for each device checks for itself.
pub const TITLES_FROM_DEVICES_COUNT_MAX: usize = 2 * TITLES_PER_PROFILE_COUNT_MAX;

/// Profiles in one token.
pub const PROFILES_PER_TOKEN_COUNT_MAX: usize = 64;

/// Token in a hello, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Body that is read before it is known whose it is, in bytes: what browsers let a beacon have.
pub const BEACON_BYTES_MAX: usize = 64 << 10;

/// Origins of pages that are let in.
pub const ORIGINS_COUNT_MAX: usize = 64;

/// One of them, in bytes: a host name has at most 253.
pub const ORIGIN_BYTES_MAX: usize = 300;

/// One message on a WebSocket, in bytes. What came of it is held until it is whole.
pub const SOCKET_FRAME_BYTES_MAX: usize = 64 << 10;

/// Messages of events of one WebSocket that wait for the disk; beyond it, and beyond the next bound, nothing more is read from it.
pub const SOCKET_IN_FLIGHT_COUNT_MAX: usize = 256;

/// The same in bytes.
pub const SOCKET_IN_FLIGHT_BYTES_MAX: usize = 256 << 10;

/// Sessions of one WebSocket that are watched over; beyond it the one heard of first is no longer.
pub const SESSIONS_PER_SOCKET_COUNT_MAX: usize = 8;

/// Watch parties that one WebSocket is in.
pub const PARTIES_PER_SOCKET_COUNT_MAX: usize = 8;

/// A client's own id of a message, in bytes of JSON.
pub const MESSAGE_ID_BYTES_MAX: usize = 64;

/// Pushes that wait for one reader. With more it is told from the store once it reads again, which costs no memory.
pub const PUSHES_WAITING_COUNT_MAX: usize = 64;

/// Registers handed at once to a reader that has fallen behind; one of its profiles after the other is read for them.
pub const CATCH_UP_COUNT_MAX: usize = 128;

/// Readers that catch up at the same time.
pub const CATCHING_UP_COUNT_MAX: usize = 16;

/// Changes that wait to be pushed, all profiles together; with more, all readers catch up from the store.
pub const CHANGES_WAITING_COUNT_MAX: usize = 65_536;

/// Ranges open at once in one reconciliation; further ones wait for its next pass. About 64 bytes each.
pub const RECONCILE_RANGES_COUNT_MAX: usize = 131_072;

/// Rounds of one reconciliation before it is given up and begun anew.
pub const RECONCILE_ROUNDS_COUNT_MAX: u32 = 24;

/// How long presence, a session or a viewer lasts without being renewed, in milliseconds (default of `limits.lease_ms`).
pub const LEASE_MS: u64 = 30_000;

/// Longest lease that a peer may claim, in milliseconds.
pub const LEASE_MS_MAX: u64 = 300_000;

/// Nodes whose leases are kept.
pub const NODES_COUNT_MAX: usize = 1_024;

/// Present devices kept, those of other nodes included. About 300 bytes each.
pub const PRESENCES_COUNT_MAX: usize = 200_000;

/// Present devices of one profile, counted once for each node.
pub const DEVICES_PER_PROFILE_COUNT_MAX: usize = 64;

/// Connections of one device to one node.
pub const CONNECTIONS_PER_DEVICE_COUNT_MAX: usize = 16;

/// Sessions kept, those of other nodes included. About 600 bytes each.
pub const SESSIONS_COUNT_MAX: usize = 200_000;

/// Sessions kept of one account, those that have just ended included.
pub const SESSIONS_PER_ACCOUNT_COUNT_MAX: usize = 256;

/// Most concurrent streams that an account may be allowed.
pub const STREAMS_PER_ACCOUNT_COUNT_MAX: usize = 100;

/// Watch parties kept, those of other nodes included.
pub const PARTIES_COUNT_MAX: usize = 10_000;

/// Of these, made by one profile at one node.
pub const PARTIES_PER_PROFILE_COUNT_MAX: usize = 8;

/// Viewers of one party at one node.
pub const VIEWERS_PER_PARTY_COUNT_MAX: usize = 10_000;

/// Viewers of all parties at one node. About 400 bytes each.
pub const VIEWERS_COUNT_MAX: usize = 100_000;

/// Members of a party that are kept by name; further ones are viewers, and counted.
pub const MEMBERS_PER_PARTY_COUNT_MAX: usize = 256;

/// Runs of nodes that may have changed the members of one party.
pub const ACTORS_PER_PARTY_COUNT_MAX: usize = 64;

/// Commands of one party that are remembered to recognise a retry.
pub const COMMANDS_REMEMBERED_COUNT_MAX: usize = 32;

/// Earlier lives of a replica's numbers that are remembered, and told to peers: it may have been opened so often since a peer last read from it, or
/// they compare all that they have. At most 18 bytes each.
pub const LIVES_COUNT_MAX: usize = 64;

/// Frame of leases, in bytes: a party with all that one node lets in fits; one that was joined from several may take more.
pub const LEASES_FRAME_BYTES: usize = 64 << 10;

const _: () = assert!(LEASE_MS <= LEASE_MS_MAX, "the default is allowed");
const _: () = assert!(LEASES_FRAME_BYTES < FRAME_BYTES_MAX, "a frame of leases is a frame");
const _: () =
    assert!(SESSIONS_PER_ACCOUNT_COUNT_MAX > 2 * STREAMS_PER_ACCOUNT_COUNT_MAX, "ended sessions do not crowd out those that play");
/// Profiles, and accounts, whose rates are remembered. About 50 bytes each.
pub const RATES_COUNT_MAX: usize = 262_144;

/// Profiles some of whose heartbeats wait because they report faster than they may; those of further ones are refused.
pub const WAITING_PROFILES_COUNT_MAX: usize = 1_024;

/// Playheads of one profile whose newest heartbeat waits, about 500 bytes each.
pub const WAITING_PLAYHEADS_PER_PROFILE_COUNT_MAX: usize = 32;

/// Reports of one profile that wait to be answered, about 200 bytes each beside their connections.
pub const WAITING_ANSWERS_PER_PROFILE_COUNT_MAX: usize = 256;

/// Players remembered that say only where they are, so that a jump back can be told from a stray report. About 100 bytes each.
pub const DIALECT_PLAYERS_COUNT_MAX: usize = 65_536;

const _: () = assert!(REGISTER_BYTES_MAX < PAGE_BYTES_MAX / 4, "a page must hold several of the largest registers");
const _: () = assert!(RECORD_BYTES_MAX < LIVE_FRAME_BYTES, "every record fits a live frame");
const _: () = assert!(LIVE_FRAME_BYTES < FRAME_BYTES_MAX, "a live frame is a frame");
const _: () = assert!(FRAME_BYTES_MAX < LOG_FRAME_BYTES_MAX, "a frame from a peer fits one log frame");
const _: () = assert!(POSITION_MS_MAX < STAMP_MAX, "positions are exact in JavaScript");
const _: () = assert!(EVENTS_PER_BATCH_COUNT_MAX * RECORD_BYTES_MAX < LOG_FRAME_BYTES_MAX, "a batch of events fits one log frame");
