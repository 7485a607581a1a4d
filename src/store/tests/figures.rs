//! Sizes that were promised.

use super::super::packed::PackedRef;
use super::*;

#[test]
fn a_register_of_one_place_takes_at_most_128_bytes_in_the_table_without_its_key() {
    let mut progress = heartbeat(3_600_000, 5_400_000, 1);
    progress.furthest = Position::from_millis(7_000_000);
    let mut record = Vec::new();
    super::super::record::put_register(&mut record, &profile(1), &title(1), &progress);
    let state = progress.to_bytes();
    assert!(state.len() <= 96, "{} bytes encoded", state.len());
    let mut packed = Vec::new();
    PackedRef {
        profile: &super::super::front::encoded_id(profile(1).as_str()),
        title: &super::super::front::encoded_id(title(1).as_str()),
        state: &state,
    }
    .put(&mut packed);
    assert!(packed.len() <= 128, "{} bytes packed", packed.len());
}
