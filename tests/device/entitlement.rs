//! A device gets and gives what its token holds, record by record, and nothing else.

use std::time::Duration;

use leftoff::progress::EventKind::{Heartbeat, Pause};
use leftoff::progress::PlaybackEvent;

use crate::support::cluster::Cluster;
use crate::support::device::{Device, agreed};
use crate::support::dice::Dice;
use crate::support::patience::{SOON, eventually, throughout};

#[test]
fn a_profile_that_is_not_in_the_token_goes_neither_way() {
    let mut dice = Dice::of_this_run("foreign profile");
    let cluster = Cluster::platform(&mut dice, 2);
    let both = cluster.client_of(0, &["ann", "bob"]);
    let paused = |profile: &str, title: &str, position_ms| PlaybackEvent::new(profile, title, "tv", Pause, position_ms);
    both.report(&[paused("bob", "secret", 1_000_000), paused("ann", "film", 2_000_000)]).unwrap();
    let mut phone = Device::new(cluster.folder(), "phone");
    phone.says("bob", "recorded-offline", Heartbeat, 50_000);
    phone.says("ann", "recorded-offline", Heartbeat, 60_000);
    cluster.connect(&mut phone, 0, &["ann"]);
    assert_eq!(agreed(&phone, &both, "ann").len(), 2);
    // Also what is recorded while connected, and what changes there meanwhile.
    phone.says("bob", "recorded-online", Heartbeat, 70_000);
    both.report(&[paused("bob", "secret", 1_100_000)]).unwrap();
    phone.says("ann", "film", Heartbeat, 2_100_000);
    agreed(&phone, &both, "ann");
    throughout(Duration::from_millis(300), "nothing crosses over", || {
        let there: Vec<String> = both.history("bob").unwrap().into_iter().map(|progress| progress.title_id).collect();
        if there != ["secret"] {
            return Err(format!("the node has {there:?} of bob"));
        }
        let here = phone.knows("bob");
        if here.contains_key("secret") { Err(format!("the device has {here:?}")) } else { Ok(()) }
    });
}

#[test]
fn a_device_without_a_valid_token_learns_nothing_and_goes_on_offline() {
    let mut dice = Dice::of_this_run("no valid token");
    let cluster = Cluster::platform(&mut dice, 1);
    let home = cluster.client_of(0, &["ann"]);
    home.report(&[PlaybackEvent::new("ann", "film", "tv", Pause, 2_000_000)]).unwrap();
    let mut phone = Device::new(cluster.folder(), "phone");
    let mut wrong = cluster.token(&["ann"]);
    wrong.truncate(wrong.len() - 8);
    phone.connect(cluster.nodes[0].addresses().quic(), &cluster.authority.ca_pem(), &wrong);
    eventually(SOON, "the device is turned away", || match phone.link().last_error() {
        Some(reason) if reason.contains("token") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(phone.knows("ann").is_empty());
    assert_eq!(phone.says("ann", "series", Heartbeat, 5_000).point.position.as_millis(), 5_000);
    // A good one, and it goes on by itself.
    phone.link().set_token(cluster.token(&["ann"]));
    assert_eq!(agreed(&phone, &home, "ann").len(), 2);
}

#[test]
fn a_token_that_ends_ends_the_link_and_a_new_one_resumes_it() {
    let mut dice = Dice::of_this_run("a token ends");
    let cluster = Cluster::platform(&mut dice, 1);
    let home = cluster.client_of(0, &["ann"]);
    let mut phone = Device::new(cluster.folder(), "phone");
    phone.says("ann", "film", Heartbeat, 10_000);
    let short = cluster.issuer.as_ref().unwrap().token_for(3, "account", &["ann"]);
    phone.connect(cluster.nodes[0].addresses().quic(), &cluster.authority.ca_pem(), &short);
    agreed(&phone, &home, "ann");
    eventually(SOON, "the link ends with the token", || match phone.link().status() {
        None => Ok(()),
        Some(status) => Err(format!("{:?}", status.state)),
    });
    phone.says("ann", "film", Heartbeat, 20_000);
    phone.link().set_token(cluster.token(&["ann"]));
    let known = agreed(&phone, &home, "ann");
    assert_eq!(known["film"].furthest_ms, 20_000);
}

#[test]
fn a_node_of_another_authority_gets_nothing_from_a_device() {
    let mut dice = Dice::of_this_run("a false node");
    let (ours, theirs) = (Cluster::platform(&mut dice, 1), Cluster::platform(&mut dice, 1));
    let mut phone = Device::new(ours.folder(), "phone");
    phone.says("ann", "film", Heartbeat, 10_000);
    // Their node, which would even take the token: the device must not believe that it is one of ours.
    phone.connect(theirs.nodes[0].addresses().quic(), &ours.authority.ca_pem(), &theirs.token(&["ann"]));
    eventually(SOON, "the device finds that it is not one of ours", || match phone.link().last_error() {
        Some(reason) if reason.to_lowercase().contains("certificate") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(theirs.client_of(0, &["ann"]).history("ann").unwrap().is_empty());
}
