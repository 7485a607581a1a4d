//! Golden bytes of what lies on disk. Never regenerated: a folder written by an earlier version must stay readable.

use super::super::engine::{Engine, SledEngine};
use super::super::log::segment::{Frame, FrameDraft, FrameKind, Identity, LOG_VERSION, SegmentHeader, put_mark};
use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn the_head_of_a_segment() {
    let identity = Identity { id: ReplicaId([0x11; 16]), epoch: Epoch(0x22), secret_check: 0x33 };
    let header = SegmentHeader { version: LOG_VERSION, number: 5, identity, first: Seq(0x44) };
    let bytes = header.encode();
    assert_eq!(SegmentHeader::decode(&bytes), Some(header));
    assert_eq!(
        hex(&bytes),
        "6c6566746f66660a0100000005000000000000001111111111111111111111111111111122000000000000003300000000000000\
         4400000000000000fb360b61"
    );
}

#[test]
fn a_mark_and_a_frame() {
    let mut mark = Vec::new();
    put_mark(Seq(7), &mut mark);
    assert!(Frame::read(&mark).is_some_and(|frame| frame.is_mark && frame.last() == Seq(6)));
    assert_eq!(hex(&mark), "050000006dc83bb507000000000000000100000000");

    let mut batch = Batch::from_peer(ReplicaId([0x11; 16]));
    batch.erased(&ProfileId::new("ada").unwrap(), Hlc::from_u64(0x55));
    batch.set_cursor(PeerCursor { peer: ReplicaId([0x11; 16]), epoch: Epoch(0x22), seq: Seq(0x33) });
    batch.raise_floor(0x44);
    let mut bytes = Vec::new();
    FrameDraft::new(&batch, FrameKind::Shares).put(Seq(7), &batch.bytes, &mut bytes);
    let frame = Frame::read(&bytes).unwrap();
    assert_eq!((frame.kind, frame.count, frame.first, frame.last()), (FrameKind::Shares, 1, Seq(7), Seq(7)));
    assert_eq!((frame.cursor, frame.floor_day, frame.records), (batch.cursor, Some(0x44), batch.bytes.as_slice()));
    assert_eq!(
        hex(&bytes),
        "46000000a021ab9907000000000000002e01000000111111111111111111111111111111111111111111111111111111111111111122000000000000\
         0033000000000000004400000002036164615500000000000000"
    );
}

#[test]
fn a_page() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SledEngine::open(folder.path(), 1 << 20).unwrap();
    let (who, what) = (super::super::front::encoded_id("ada"), super::super::front::encoded_id("film"));
    let state = heartbeat(1_000, 540_500, 1).to_bytes();
    let key = RegisterKey(0x0102_0304_0506_0708_1112_1314_1516_1718);
    let delta = super::super::engine::Delta { key, profile: &who, title: &what, state: &state, arrived: Seq(300), floor_day: 0 };
    engine.merge(&[delta], &[], &super::super::forgetting::Forgetting::default(), &mut |_| ()).unwrap();
    engine.sync().unwrap();
    drop(engine);
    let (bound, page) = SledEngine::open(folder.path(), 1 << 20).unwrap().first_page().unwrap();
    assert_eq!(bound, [0; 16]);
    assert_eq!(
        hex(&page),
        "0193b5316b08070605040302015d00036164610100000000030000400080000000000000010100000000040000400080000000000000011817161514131211\
         ac020466696c6d250e010000000000000000d4fe2000a0bf41118306000000000000ffff7c80bab703ffff7c00"
    );
}
