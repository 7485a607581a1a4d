//! Sessions at one node.

use super::*;

fn limited(streams_count_max: usize) -> Node {
    Node::with(1, 0, EphemeralOptions { streams_count_max, ..EphemeralOptions::default() })
}

#[test]
fn an_account_has_as_many_streams_as_it_may() {
    let node = limited(2);
    node.start("s1", "family", "tv").unwrap();
    node.start("s2", "family", "phone").unwrap();
    assert_eq!(node.start("s3", "family", "laptop"), Err(StartSessionError::TooManyStreams { limit: 2 }));
    node.start("s4", "others", "laptop").unwrap();
    assert!(node.ephemeral.end_session(node.mono(), node.tick(), &SessionId::new("s1").unwrap()));
    assert!(!node.ephemeral.end_session(node.mono(), node.tick(), &SessionId::new("s1").unwrap()), "once is enough");
    node.start("s3", "family", "laptop").unwrap();
}

#[test]
fn a_session_lives_by_its_renewals_and_then_gives_its_stream_back() {
    let node = limited(1);
    let told = node.count(Topic::Session(SessionId::new("s1").unwrap()));
    node.start("s1", "family", "tv").unwrap();
    for _ in 0..5 {
        node.pass(secs(20));
        node.renew("s1").unwrap();
    }
    assert_eq!(told.load(Ordering::Relaxed), 0);
    node.pass(secs(30));
    assert_eq!(node.renew("s1"), Err(SessionGone { reason: Some(EndReason::Expired) }));
    assert_eq!(told.load(Ordering::Relaxed), 1);
    node.start("s2", "family", "phone").unwrap();
}

#[test]
fn a_start_repeated_is_the_same_session_and_anothers_id_is_taken() {
    let node = limited(1);
    let first = node.start("s1", "family", "tv").unwrap();
    assert_eq!(node.start("s1", "family", "tv").unwrap().started, first.started);
    assert_eq!(node.start("s1", "family", "phone"), Err(StartSessionError::Taken));
    let foreign = node.ephemeral.renew_session(node.mono(), node.tick(), &SessionId::new("s1").unwrap(), &profile_id("eve"), None, None);
    assert_eq!(foreign, Err(SessionGone { reason: None }), "another profile learns nothing of it");
}

#[test]
fn the_session_that_plays_is_known_by_its_reports() {
    let node = limited(2);
    node.start("s1", "family", "tv").unwrap();
    assert_eq!(node.devices("ada"), [("tv".to_owned(), PresenceState::Paused)]);
    let heard = |state| {
        let id = SessionId::new("s1").unwrap();
        node.ephemeral.renew_session(node.mono(), node.tick(), &id, &profile_id("ada"), None, Some(state)).unwrap();
    };
    heard(SessionState::Playing);
    assert_eq!(node.devices("ada"), [("tv".to_owned(), PresenceState::Playing)]);
    heard(SessionState::Paused);
    assert_eq!(node.devices("ada"), [("tv".to_owned(), PresenceState::Paused)]);
}

#[test]
fn the_sessions_of_an_account_have_a_bound_and_are_forgotten() {
    let node = limited(1);
    for number in 0..crate::limits::SESSIONS_PER_ACCOUNT_COUNT_MAX {
        node.start(&format!("s{number}"), "family", "tv").unwrap();
        node.ephemeral.end_session(node.mono(), node.tick(), &SessionId::new(format!("s{number}")).unwrap());
    }
    assert_eq!(node.start("more", "family", "tv"), Err(StartSessionError::Full));
    for _ in 0..10 {
        node.pass(secs(30));
    }
    assert_eq!(node.ephemeral.figures(), EphemeralFigures::default());
}
