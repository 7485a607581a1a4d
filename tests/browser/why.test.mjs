// What the pages say and count, without a browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lasting, position } from '../../src/gateway/web/page/dom.js';
import { Reasons } from '../../src/gateway/web/page/why.js';

const reasons = () => new Reasons({ tv: 'the TV', phone: 'the phone' });
const progress = (version, ms, places = [[version, ms]]) => ({
  started: true, version, position_ms: ms, high_ms: ms, places: places.map(([own, position_ms]) => ({ version: own, position_ms })),
});
const event = (device_id, kind, position_ms, version, more) => ({ device_id, kind, position_ms, version, ...more });

test("the TV's heartbeat is from before the phone's seek: ignored", () => {
  const why = reasons();
  const sought = why.report(event('phone', 'SEEK', 20_000, 7_000), progress(0, 41_000), progress(7_000, 20_000, [[7_000, 20_000], [0, 41_000]]));
  assert.equal(sought.tone, 'won');
  assert.match(sought.words, /^The phone seeks to 0:20/);
  assert.match(sought.reason, /though 0:20 is before 0:41, which stays as a way back/);
  const late = why.report(event('tv', 'HEARTBEAT', 48_000, 0), progress(7_000, 20_000), progress(7_000, 20_000, [[7_000, 20_000], [0, 48_000]]));
  assert.equal(late.tone, 'kept');
  assert.equal(late.words, "The TV's heartbeat at 0:48 is from before the phone's seek to 0:20: ignored for resuming.");
});

test('a region that is cut off speaks for itself', () => {
  const told = (apart) => reasons().report(event('tv', 'PAUSE', 50_000, 0), progress(0, 41_000), progress(0, 50_000), apart).reason;
  assert.equal(told('ap'), 'The furthest report in the newest place that ap knows of.');
  assert.equal(told(), 'The furthest report in the newest place.');
});

test('inside a place the position only grows, and a repeat is nothing', () => {
  const why = reasons();
  assert.match(why.report(event('tv', 'HEARTBEAT', 30_000, 0), progress(0, 41_000), progress(0, 41_000)).words, /is behind 0:41 in the same place/);
  assert.match(why.report(event('tv', 'HEARTBEAT', 41_000, 0), progress(0, 41_000), progress(0, 41_000)).reason, /^A repeat is nothing/);
  assert.match(why.report(event('tv', 'PLAY', 0, 0), progress(0, 41_000), progress(0, 41_000)).reason, /lowers nothing/);
  assert.match(why.report(event('tv', 'SEEK', 31_000, 0), progress(0, 41_000), progress(0, 41_000)).words, /steps back to 0:31/);
});

test('a region that learns of a jump says whose it was', () => {
  const why = reasons();
  why.noteMove(7_000, event('phone', 'SEEK', 20_000, 7_000));
  const both = why.arrival(['eu', 'us'], progress(0, 41_000), progress(7_000, 20_000, [[7_000, 20_000], [0, 41_000]]));
  assert.equal(both.words, 'Regions eu and us now resume at 0:20 instead of 0:41.');
  assert.match(both.reason, /^The phone's seek to 0:20 is the newest deliberate move. 0:41 stays as a way back/);
  const kept = why.arrival(['ap'], progress(7_000, 20_000), progress(7_000, 20_000, [[7_000, 20_000], [0, 55_000]]));
  assert.equal(kept.words, 'Region ap learns of 0:55 in an older place; 0:20 stays.');
  assert.equal(why.arrival(['ap'], progress(7_000, 20_000), progress(7_000, 20_000)), null);
});

test('a move that the page did not see is told by its time', () => {
  const version = Date.UTC(2026, 10, 21, 12, 0, 0) * 1024 + 5;
  assert.match(reasons().opener(version), /^a move at \d\d:00:00/);
});

test('positions and times are told as people read them', () => {
  assert.deepEqual([0, 41_999, 300_000, 3_909_000].map(position), ['0:00', '0:41', '5:00', '1:05:09']);
  assert.deepEqual([4.26, 340.4, 7_400, 65_000, 7_260_000].map(lasting), ['4.3 ms', '340 ms', '7.4 s', '1 min 5 s', '2 h 1 min']);
});
