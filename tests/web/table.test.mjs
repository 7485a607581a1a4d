// The playhead of leftoff.js against the table that the node's own is held to (tests/semantics/table.rs runs the same two files).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Playhead } from '../../src/gateway/web/leftoff.js';

const EVENING = 1_790_000_000_000;
const KINDS = ['PLAY', 'HEARTBEAT', 'PAUSE', 'SEEK', 'STOP', 'END'];
const read = (name) => JSON.parse(readFileSync(new URL(`../semantics/${name}`, import.meta.url), 'utf8'));

// A report that is not live is stamped by nodes with ten bits of a hash (SipHash-1-3, keyed with zeros), so that all derive the same. A client
// says its version, so nobody derives it; here it has to be the same to the bit.
Playhead.derived = (event, at) => {
  const bytes = [...Buffer.from(event.device_id), 255, ...Buffer.from(event.title_id), 255, KINDS.indexOf(event.kind)];
  const position = Buffer.alloc(8);
  position.writeBigUInt64LE(BigInt(event.position_ms));
  bytes.push(...position);
  const length = bytes.length;
  while (bytes.length % 8 < 7) bytes.push(0);
  bytes.push(length % 256);
  const word = (x) => BigInt.asUintN(64, x);
  const turn = (x, by) => word(x << by) | (x >> (64n - by));
  let [a, b, c, d] = [0x736f6d6570736575n, 0x646f72616e646f6dn, 0x6c7967656e657261n, 0x7465646279746573n];
  const mix = () => {
    a = word(a + b); b = turn(b, 13n) ^ a; a = turn(a, 32n); c = word(c + d); d = turn(d, 16n) ^ c;
    a = word(a + d); d = turn(d, 21n) ^ a; c = word(c + b); b = turn(b, 17n) ^ c; c = turn(c, 32n);
  };
  for (let i = 0; i < bytes.length; i += 8) {
    const block = Buffer.from(bytes.slice(i, i + 8)).readBigUInt64LE();
    d ^= block; mix(); a ^= block;
  }
  c ^= 255n; mix(); mix(); mix();
  return at * 1024 + Number((a ^ b ^ c ^ d) & 1023n);
};

// Devices in one title, with a register that joins what they report: what a node shows of it, by definition.
class Title {
  playheads = new Map();
  deltas = [];
  until = [0];

  view(steps) {
    const deltas = this.deltas.slice(0, this.until[steps]);
    const versions = [...new Set(deltas.map(({ version }) => version))].sort((one, other) => other - one).slice(0, 8);
    const places = versions.map((version) => {
      const own = deltas.filter((delta) => delta.version === version);
      const most = (field) => Math.max(...own.map((delta) => delta[field]));
      return { version, position_ms: most('position_ms'), touched: most('touched'), ended: own.some(({ ended }) => ended) };
    });
    const told = deltas.filter(({ duration }) => duration).sort((one, other) => one.touched - other.touched || one.duration - other.duration).at(-1);
    const furthest = Math.max(0, ...deltas.map(({ position_ms }) => position_ms));
    const duration_ms = told && furthest <= told.duration + 5_000 ? told.duration : null;
    const [newest] = places;
    const completed = Boolean(newest) && (newest.ended || (duration_ms > 0 && newest.position_ms * 100 >= duration_ms * 95));
    return { places, completed, duration_ms };
  }

  report(event, at, live, steps) {
    const view = steps === null ? null : this.view(steps);
    if (event.duration_ms !== null && event.duration_ms < event.position_ms) event.position_ms = event.duration_ms;
    const { device_id } = event;
    if (!this.playheads.has(device_id)) this.playheads.set(device_id, Playhead.start(event, at, live, view));
    const answer = this.playheads.get(device_id).report(event, at, live, view);
    if (answer.delta) this.deltas.push({ ...answer.delta, duration: event.duration_ms });
    this.until.push(this.deltas.length);
    return answer;
  }

  get steps() {
    return this.until.length - 1;
  }
}

for (const { rule, story, counter, steps } of read('playhead_cases.json').cases) {
  test(`rule ${rule}${counter ? ', not so' : ''}: ${story}`, () => {
    const title = new Title();
    const opened = new Map([['first', 0]]);
    let clock = 0;
    steps.forEach((step, index) => {
      const at = EVENING + step.at * 1_000;
      const event = {
        device_id: step.device ?? 'tv', title_id: 'film', kind: step.kind, position_ms: Math.round(step.position * 1_000), restart: step.restart, speed: step.speed,
        duration_ms: step.duration ? step.duration * 1_000 : null, at_ms: at,
      };
      const live = step.late ? null : (clock = Math.max(at * 1024, clock + 1));
      const { version, delta } = title.report(event, at, live, step.view === false ? null : title.steps);
      const told = `step ${index + 1}: ${JSON.stringify(step)}`;
      if (step.place === 'new') {
        assert.ok([...opened.values()].every((known) => known < version), told);
        opened.set(index + 1, version);
      } else {
        assert.equal(version, opened.get(step.place), told);
      }
      assert.equal(delta === null, step.nothing ?? false, told);
      assert.equal(delta?.stepped_back ?? false, step.stepped_back ?? false, told);
    });
  });
}

test('a thousand random histories end as they do in a node', () => {
  const histories = read('playhead_histories.json');
  assert.ok(histories.length >= 1_000);
  const offset = (version) => (version === 0 ? -1 : version - EVENING * 1024);
  histories.forEach((history, number) => {
    const title = new Title();
    history.forEach(([input, golden], index) => {
      const [device, kind, position_ms, at, live, view, flags, duration] = input;
      const event = {
        device_id: `device ${device}`, title_id: 'film', kind: KINDS[kind], position_ms, restart: (flags & 1) > 0, speed: flags & 2 ? 1.3 : undefined,
        duration_ms: duration < 0 ? null : duration, at_ms: flags & 4 ? EVENING + at : null,
      };
      const { version, delta } = title.report(event, EVENING + at, live < 0 ? null : (EVENING + at) * 1024 + live, view < 0 ? null : view);
      const answer = delta ? [offset(version), delta.position_ms, delta.touched - (EVENING + at) * 1024, delta.ended + 2 * delta.stepped_back] : [offset(version)];
      assert.deepEqual(answer, golden, `history ${number}, step ${index}: ${input}`);
    });
  });
});
