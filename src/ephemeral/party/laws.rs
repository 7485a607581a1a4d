//! The laws of a party's record: what is joined in any order, any number of times, is the same.

use proptest::prelude::*;

use super::record::{Actor, Control, Invite, Record};
use crate::ephemeral::node::NodeId;
use crate::ephemeral::slot::Join;
use crate::progress::ProfileId;
use crate::time::Hlc;

/// Replicas of one record that add, remove and join in any order; all three at the end.
fn records() -> impl Strategy<Value = [Record; 3]> {
    let step = (0..4_u8, 0..3_usize, 0..3_usize, 0..6_u8);
    prop::collection::vec(step, 0..40).prop_map(|steps| {
        let start = Record::new(Hlc::from_u64(1), Invite([1; 16]), Control::Host);
        let mut records = [start.clone(), start.clone(), start];
        for (index, (kind, at, other, who)) in steps.into_iter().enumerate() {
            let profile = ProfileId::new(format!("p{who}")).unwrap();
            let stamp = Hlc::from_u64(2 + index as u64);
            let actor = Actor { node: NodeId([at as u8; 16]), since: Hlc::from_u64(1) };
            match kind {
                0 => _ = records[at].add(actor, &profile),
                1 => _ = records[at].remove(&profile),
                2 => records[at].control = (stamp, if who < 3 { Control::Host } else { Control::Everyone }),
                _ => {
                    let heard = records[other].clone();
                    records[at].join(heard);
                }
            }
        }
        records
    })
}

fn joined(one: &Record, other: &Record) -> Record {
    let mut joined = one.clone();
    joined.join(other.clone());
    joined
}

proptest! {
    #[test]
    fn joining_is_commutative_associative_and_idempotent([a, b, c] in records()) {
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
        prop_assert_eq!(joined(&a, &a), a.clone());
        prop_assert_eq!(joined(&joined(&a, &b), &b), joined(&a, &b));
    }

    #[test]
    fn a_record_is_what_its_parts_say([a, b, _] in records()) {
        let record = joined(&a, &b);
        let parts = Record::from_parts((record.created, record.invite, record.control), &record.clock(), record.named());
        prop_assert_eq!(parts, Some(record));
    }
}

#[test]
fn parts_that_no_node_wrote_are_refused() {
    let actor = Actor { node: NodeId([1; 16]), since: Hlc::from_u64(1) };
    let head = || (Hlc::from_u64(1), Invite([1; 16]), (Hlc::from_u64(1), Control::Host));
    let profile = ProfileId::new("p").unwrap();
    let name = |counter| [(profile.clone(), [(actor, counter)].into())].into();
    assert!(Record::from_parts(head(), &[(actor, 3)].into(), name(3)).is_some());
    assert!(Record::from_parts(head(), &[(actor, 3)].into(), name(4)).is_none(), "a dot above the clock");
    assert!(Record::from_parts(head(), &[(actor, 3)].into(), name(0)).is_none());
    assert!(Record::from_parts(head(), &[].into(), name(1)).is_none());
    assert!(Record::from_parts(head(), &[(actor, u64::MAX)].into(), [].into()).is_none(), "a counter that leaves no room for the next");
    assert!(Record::from_parts(head(), &[(actor, 3)].into(), [(profile.clone(), [].into())].into()).is_none());
    let mut full = Record::from_parts(head(), &[(actor, 1 << 48)].into(), name(3)).unwrap();
    assert!(!full.add(actor, &profile), "nothing overflows");
    let many = (0..5_000).map(|number| (ProfileId::new(format!("p{number}")).unwrap(), [(actor, 1)].into())).collect();
    assert!(Record::from_parts(head(), &[(actor, 3)].into(), many).is_none());
}
