//! A watch party over regions: members at different nodes, seeks that cross, a host who leaves, a cut.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::dice::Dice;
use crate::support::http::Client;
use crate::support::patience::{SOON, eventually, throughout};
use crate::support::relay::Weather;
use crate::viewer::{cluster, join, look, post, seek};

/// A party, and its members: each profile with the node that it speaks to.
struct Party<'a> {
    id: String,
    members: Vec<(&'a Client, &'static str)>,
}

impl Party<'_> {
    /// Every member stays, and sees a party for which `wanted` holds.
    fn all_see(&self, what: &str, wanted: impl Fn(&Value) -> bool) {
        eventually(SOON, what, || {
            self.members.iter().try_for_each(|(client, profile)| {
                join(client, &self.id, profile, None).map_err(|trouble| trouble.to_string())?;
                let seen = look(client, &self.id).map_err(|trouble| trouble.to_string())?;
                if wanted(&seen) { Ok(()) } else { Err(format!("{profile} sees {seen}")) }
            })
        });
    }

    /// Where each member's node says that everybody is.
    fn anchors(&self) -> Vec<(u64, u64)> {
        let anchor = |(client, _): &(&Client, &str)| {
            let anchor = look(client, &self.id).unwrap()["anchor"].clone();
            (anchor["stamp"].as_u64().unwrap(), anchor["position_ms"].as_u64().unwrap())
        };
        self.members.iter().map(anchor).collect()
    }

    fn one_place(&self) -> Result<(u64, u64), String> {
        let anchors = self.anchors();
        if anchors.windows(2).all(|pair| pair[0] == pair[1]) { Ok(anchors[0]) } else { Err(format!("{anchors:?}")) }
    }
}

#[test]
fn a_party_over_three_regions_stays_in_one_place_whoever_seeks_leaves_or_is_cut_off() {
    let mut dice = Dice::of_this_run("a party over regions");
    let cluster = cluster(&mut dice, 3, 5);
    let profiles = ["ann", "bob", "cid"];
    let clients: Vec<Client> = (0..3).map(|index| cluster.client_of(index, &[profiles[index]])).collect();
    let body =
        json!({"profile_id": "ann", "device_id": "tv", "title_id": "film", "position_ms": 1_000, "playing": true, "control": "everyone"});
    let made = post(&clients[0], "/v1/parties", &body).unwrap();
    let (id, invite) = (made["id"].as_str().unwrap().to_owned(), made["invite"].as_str().unwrap().to_owned());
    for (client, profile) in clients.iter().zip(profiles).skip(1) {
        eventually(SOON, "the invitation lets one in at another node", || join(client, &id, profile, Some(&invite)));
    }
    let mut party = Party { id, members: clients.iter().zip(profiles).collect() };
    party.all_see("all three, and who is the host", |seen| {
        seen["viewers"] == 3 && seen["host"]["profile_id"] == "ann" && seen["members"].as_array().is_some_and(|members| members.len() == 3)
    });

    for round in 1..=5_u64 {
        thread::scope(|scope| {
            for (index, (client, profile)) in party.members.iter().enumerate() {
                let position_ms = round * 100_000 + index as u64;
                let id = &party.id;
                scope.spawn(move || seek(client, id, profile, position_ms).unwrap());
            }
        });
        let sought = round * 100_000..round * 100_000 + 3;
        eventually(SOON, "seeks that cross end in one place", || {
            let (_, position_ms) = party.one_place()?;
            if sought.contains(&position_ms) { Ok(()) } else { Err(format!("{position_ms}")) }
        });
    }
    let last = party.one_place().unwrap();
    throughout(Duration::from_millis(500), "and nobody moves any more", || match party.one_place() {
        Ok(place) if place == last => Ok(()),
        other => Err(format!("{other:?}")),
    });

    // One region is cut off: each half goes on by itself, and the earlier host and the later command hold when it is healed.
    party.all_see("all are there", |seen| seen["viewers"] == 3);
    cluster.set_around(2, &Weather::CUT);
    let apart = Party { id: party.id.clone(), members: vec![party.members[2]] };
    let together = Party { id: party.id.clone(), members: party.members[..2].to_vec() };
    eventually(SOON, "each half has its own host", || {
        together
            .members
            .iter()
            .try_for_each(|(client, profile)| join(client, &together.id, profile, None).map(|_| ()).map_err(|t| t.to_string()))?;
        let seen = join(&clients[2], &apart.id, "cid", None).map_err(|trouble| trouble.to_string())?;
        let other = look(&clients[0], &together.id).map_err(|trouble| trouble.to_string())?;
        let hosts = (&seen["host"]["profile_id"], &other["host"]["profile_id"]);
        if hosts == (&json!("cid"), &json!("ann")) { Ok(()) } else { Err(format!("{hosts:?}")) }
    });
    seek(&clients[0], &party.id, "ann", 700_001).unwrap();
    seek(&clients[2], &party.id, "cid", 700_002).unwrap();
    let here = eventually(SOON, "one half goes where its member led", || match together.one_place() {
        Ok(place) if place.1 == 700_001 => Ok(place),
        other => Err(format!("{other:?}")),
    });
    assert_ne!(here, apart.one_place().unwrap());
    cluster.heal();
    party.all_see("one party again", |seen| {
        seen["viewers"] == 3 && seen["host"]["profile_id"] == "ann" && seen["anchor"]["position_ms"] == 700_002
    });

    let left = format!("/v1/parties/{}/members?profile_id=ann&device_id=tv", party.id);
    clients[0].send("DELETE", &left, None).unwrap();
    party.members.remove(0);
    party.all_see("the longest member is the host", |seen| seen["viewers"] == 2 && seen["host"]["profile_id"] == "bob");
}
