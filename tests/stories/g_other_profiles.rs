//! G: progress lands in, or is shown from, another profile.

use leftoff::progress::EventKind::{Heartbeat, Pause};
use leftoff::progress::PlaybackEvent;

use crate::platform::Account;
use crate::support::device::{agreed, known_at};
use crate::support::patience::{SOON, eventually};

#[test]
fn a_profile_that_is_not_in_the_credential_cannot_be_read_written_hidden_or_erased() {
    let (ann, bob) = (Account::new(), Account::new());
    let secret = PlaybackEvent::new(&bob.viewer, "secret", "tv", Pause, 1_000_000);
    bob.client(0).report(std::slice::from_ref(&secret)).unwrap();
    let snoop = ann.client(0);
    let nobody = "viewer-who-does-not-exist";
    for profile in [bob.viewer.as_str(), nobody] {
        let written = PlaybackEvent { profile_id: profile.to_owned(), ..secret.clone() };
        let tries = [
            ("read", snoop.resume(profile, "secret").map(|_| ())),
            ("list", snoop.history(profile).map(|_| ())),
            ("row", snoop.row(profile).map(|_| ())),
            ("write", snoop.report(&[written]).map(|_| ())),
            ("hide", snoop.hide(profile, "secret")),
            ("erase", snoop.erase(profile)),
        ];
        for (what, tried) in tries {
            let trouble = tried.expect_err(what);
            assert_eq!(trouble.status(), Some(403), "{what}: {trouble}");
            // Whether it exists is nobody's business either.
            assert!(!trouble.to_string().contains("secret") && !trouble.to_string().contains(profile), "{what}: {trouble}");
        }
    }
    let untouched = bob.client(1);
    bob.cluster.client_of(1, &[&bob.viewer]);
    eventually(SOON, "the other region has it", || match untouched.resume(&bob.viewer, "secret").unwrap() {
        progress if progress.position_ms == 1_000_000 && !progress.hidden => Ok(()),
        progress => Err(format!("{progress:?}")),
    });
}

#[test]
fn a_device_that_switches_profiles_in_mid_playback_leaks_nothing() {
    let (ann, bob) = (Account::new(), Account::new());
    let cluster = &ann.cluster;
    let mut tv = ann.device("tv");
    ann.connect(&mut tv, 0);
    tv.says(&ann.viewer, "film", Heartbeat, 600_000);
    agreed(&tv, &ann.client(0), &ann.viewer);
    // The remote goes to somebody else in the middle of the film: same device, same title, another profile and token.
    tv.disconnect();
    tv.says(&ann.viewer, "film", Heartbeat, 700_000);
    tv.says(&bob.viewer, "film", Heartbeat, 20_000);
    bob.connect(&mut tv, 1);
    let of_bob = agreed(&tv, &bob.client(1), &bob.viewer);
    assert_eq!((of_bob.len(), of_bob["film"].furthest_ms), (1, 20_000), "not from where the other was");
    let of_ann = known_at(&ann.client(0), &ann.viewer);
    assert_eq!(of_ann["film"].furthest_ms, 600_000, "nothing of hers is sent under his token");
    // A batch of both, with a credential for one: the one is kept, the other is refused by itself.
    let mixed = [
        PlaybackEvent::new(&bob.viewer, "film", "tv", Heartbeat, 30_000),
        PlaybackEvent::new(&ann.viewer, "film", "tv", Heartbeat, 40_000),
    ];
    let answer = cluster.client_of(1, &[&bob.viewer]).report(&mixed).unwrap();
    assert_eq!((answer.accepted, answer.refused.len(), answer.refused[0].index), (1, 1, 1));
    assert_eq!(answer.refused[0].code, "profile_not_in_token");
    // Back to her: hers goes on where she was, and is sent now.
    tv.disconnect();
    ann.connect(&mut tv, 0);
    assert_eq!(agreed(&tv, &ann.client(0), &ann.viewer)["film"].furthest_ms, 700_000);
}

#[test]
fn the_same_title_on_the_same_device_is_two_registers_for_two_profiles() {
    let account = Account::new();
    let (one, other) = (account.viewer.clone(), format!("{}-child", account.viewer));
    let both = account.cluster.client_of(0, &[&one, &other]);
    let watch = |profile: &str, position_ms| PlaybackEvent::new(profile, "film", "tv", Heartbeat, position_ms);
    both.report(&[watch(&one, 10_000), watch(&other, 5_000_000), watch(&one, 20_000)]).unwrap();
    assert_eq!(both.resume(&one, "film").unwrap().position_ms, 20_000);
    assert_eq!(both.resume(&other, "film").unwrap().position_ms, 5_000_000);
    // An id that looks like a path into another profile is only an id.
    let sly = format!("{one}/../{other}");
    let trouble = both.resume(&sly.replace('/', "%2F"), "film").unwrap_err();
    assert_eq!(trouble.status(), Some(403), "{trouble}");
}
