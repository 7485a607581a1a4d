// A watch party: one anchor, and everyone at it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { correction } from '../../src/gateway/web/leftoff.js';
import { Browser, FakeNode, Page, Time, Video } from './fakes.mjs';

test('more than three seconds off it seeks, less it plays a little faster or slower', () => {
  const anchor = { position_ms: 100_000, rate: 1, playing: true, at_ms: 1_000 };
  assert.deepEqual(correction(anchor, 11_000, 110_000), { rate: 1 });
  assert.deepEqual(correction(anchor, 11_000, 110_090), { rate: 1 });
  assert.deepEqual(correction(anchor, 11_000, 112_000), { rate: 0.95 });
  assert.deepEqual(correction(anchor, 11_000, 107_500), { rate: 1.05 });
  assert.deepEqual(correction(anchor, 11_000, 113_001), { seek: 110_000 });
  assert.deepEqual(correction(anchor, 11_000, 0), { seek: 110_000 });
  assert.deepEqual(correction({ ...anchor, rate: 2 }, 11_000, 119_000), { rate: 2.1 });
  assert.deepEqual(correction({ ...anchor, playing: false }, 11_000, 100_200), { rate: 1 });
  assert.deepEqual(correction({ ...anchor, playing: false }, 11_000, 102_000), { seek: 100_000 }, 'standing still it cannot catch up');
});

// A party at a fake node: the later command wins, and everyone is told.
async function party(count) {
  const time = new Time();
  const node = new FakeNode(time);
  const anchors = { stamp: 1, anchor: null, at: 0, commands: 0 };
  const tell = (socket) => anchors.anchor && socket.tell({ type: 'party', id: 'p', viewers: count, members: [], anchor: { ...anchors.anchor, stamp: anchors.stamp, age_ms: time.ms - anchors.at } });
  const { send } = node.WebSocket.prototype;
  node.WebSocket.prototype.send = function (text) {
    const message = JSON.parse(text);
    if (message.type === 'party.join') time.setTimeout(() => tell(this), 20);
    if (message.type === 'party.control') {
      time.setTimeout(() => {
        const { position_ms, rate, playing, title_id } = message;
        Object.assign(anchors, { stamp: anchors.stamp + 1, anchor: { position_ms, rate, playing, title_id }, at: time.ms, commands: anchors.commands + 1 });
        node.sockets.forEach(tell);
      }, 20);
    }
    send.call(this, text);
  };
  const viewers = [];
  for (let i = 0; i < count; i++) {
    const page = new Page({ time, node, browser: new Browser(), options: { deviceId: `d${i}` } });
    const video = new Video(time);
    const attachment = page.sync.attach(video, { titleId: 'film' });
    await time.pass(50);
    viewers.push({ page, video, attachment, party: page.sync.joinParty({ id: 'p', invite: 'x' }, attachment) });
  }
  await time.pass(1_000);
  const watch = async (seconds) => {
    for (let step = 0; step < seconds * 4; step++) {
      await time.pass(250);
      for (const { video } of viewers) if (!video.paused) Object.assign(video, { at: video.at + 0.25 * video.playbackRate }) && video.say('timeupdate');
    }
    await time.pass(0);
  };
  const spread = () => Math.max(...viewers.map(({ video }) => video.at)) - Math.min(...viewers.map(({ video }) => video.at));
  return { time, node, anchors, viewers, watch, spread };
}

test('what one does all do, and nobody answers', async () => {
  const { anchors, viewers, watch, spread } = await party(3);
  await viewers[0].video.play();
  await watch(5);
  assert.ok(viewers.every(({ video }) => !video.paused));
  assert.ok(spread() < 0.5, `${spread()}`);
  assert.equal(anchors.commands, 1);
  viewers[1].video.currentTime = 1_000;
  await watch(5);
  assert.ok(viewers.every(({ video }) => Math.abs(video.at - 1_005) < 1), `${viewers.map(({ video }) => video.at)}`);
  assert.equal(anchors.commands, 2);
  viewers[2].video.pause();
  await watch(2);
  assert.ok(viewers.every(({ video }) => video.paused));
  assert.ok(spread() < 0.3);
  assert.equal(anchors.commands, 3);
});

test('two seeks that cross end with everyone in one place', async () => {
  const { anchors, viewers, watch, spread } = await party(3);
  await viewers[0].video.play();
  await watch(3);
  viewers[0].video.currentTime = 500;
  viewers[1].video.currentTime = 3_000;
  await watch(10);
  assert.ok(spread() < 0.5, `${viewers.map(({ video }) => video.at)}`);
  assert.equal(anchors.commands, 3, 'the play and two seeks, and no answer to either');
});

test('a player that nudges itself after a move is no viewer: the next command counts', async () => {
  const { time, viewers: [one, other] } = await party(2);
  one.party.control({ position_ms: 250_000, playing: false, rate: 1 });
  await time.pass(1_000);
  assert.ok(Math.abs(other.video.currentTime - 250) < 0.5);
  other.video.currentTime += 0.1;
  await time.pass(100);
  one.party.control({ position_ms: 50_000, playing: true, rate: 1 });
  await time.pass(2_000);
  for (const { video } of [one, other]) assert.ok(!video.paused && video.at > 49 && video.at < 60, [one, other].map((each) => [each.video.at, each.video.paused]).join());
});

test('a seek that takes its time is not undone before it has been said', async () => {
  const { anchors, viewers, watch, time, spread } = await party(2);
  await viewers[0].video.play();
  await watch(3);
  const { video } = viewers[1];
  // As over a slow line: for two seconds it seeks, and others' anchor is looked at meanwhile.
  Object.assign(video, { at: 1_000, seeking: true });
  video.say('seeking');
  await time.pass(2_000);
  assert.equal(video.at, 1_000);
  video.seeking = false;
  video.say('seeked');
  await watch(3);
  assert.ok(viewers.every(({ video: { at } }) => at > 1_000 && at < 1_010), `${viewers.map((own) => own.video.at)}`);
  assert.ok(spread() < 3);
  assert.equal(anchors.commands, 2);
});

// Events come after what they tell of: on a busy machine others' commands and the second's turn are seen between the two.
test("a viewer's play and pause are not undone before they have been said", async () => {
  const { anchors, viewers, watch, time } = await party(2);
  await viewers[0].video.play();
  await watch(1);
  viewers[0].video.pause();
  await watch(1);
  const { video, party: own } = viewers[1];
  assert.equal(anchors.commands, 2);
  video.paused = false;
  own.apply();
  assert.equal(video.paused, false, 'played, and not said yet');
  video.say('play');
  // Nothing is shown of it for seconds.
  await time.pass(4_000);
  assert.deepEqual(viewers.map((viewer) => viewer.video.paused), [false, false], 'all play');
  assert.equal(anchors.commands, 3);
  video.say('playing');
  await watch(2);
  assert.equal(anchors.commands, 3, 'that it shows something at last is no command');
  video.paused = true;
  own.apply();
  own.turn();
  assert.equal(video.paused, true, 'paused, and not said yet');
  video.say('pause');
  await watch(1);
  assert.deepEqual(viewers.map((viewer) => viewer.video.paused), [true, true]);
  assert.equal(anchors.commands, 4);
});

test('who stalls catches up and moves nobody', async () => {
  const { anchors, viewers, watch, spread } = await party(3);
  const { video } = viewers[2];
  const { play } = video;
  // It begins to show something when the others are four seconds on.
  video.play = async function () { this.paused = false; this.say('play'); };
  await viewers[0].video.play();
  await watch(4);
  Object.assign(video, { at: 0, play });
  video.say('playing');
  await watch(3);
  assert.ok(spread() < 3, `${spread()}`);
  assert.equal(anchors.commands, 1);
  // In mid-playback: it waits for data, and goes on later.
  video.say('waiting');
  Object.assign(video, { at: video.at - 20 });
  video.say('playing');
  video.say('timeupdate');
  await watch(2);
  assert.ok(spread() < 3, `${spread()}`);
  assert.equal(anchors.commands, 1);
});

test("a viewer's seek is not undone before it has been said, nor after it has come to its place", async () => {
  const { anchors, viewers, watch } = await party(2);
  await viewers[0].video.play();
  await watch(2);
  const { video, party: own } = viewers[1];
  const slowly = (seconds) => Object.assign(video, { at: seconds, seeking: true });
  Object.defineProperty(video, 'currentTime', { get() { return this.at; }, set: slowly });
  // It is on its way to where another went, when its viewer wants elsewhere; each event comes after all has been looked at again.
  viewers[0].video.currentTime = 2_000;
  await watch(1);
  assert.ok(video.seeking && video.at >= 2_000);
  video.say('seeking');
  slowly(500);
  own.apply();
  assert.equal(video.at, 500, 'not said yet');
  video.say('seeking');
  own.apply();
  assert.equal(video.at, 500, 'on its way');
  video.seeking = false;
  own.apply();
  assert.equal(video.at, 500, 'there, and not said yet');
  video.say('seeked');
  await watch(3);
  assert.ok(viewers.every(({ video: { at } }) => at >= 500 && at < 510), `${viewers.map((viewer) => viewer.video.at)}`);
  assert.equal(anchors.commands, 3);
});

test('where each seek takes longer than what is allowed to be off, it catches up all the same', async () => {
  const { anchors, viewers, watch, time, spread } = await party(2);
  await viewers[0].video.play();
  await watch(2);
  const { video } = viewers[1];
  let [due, aim] = [0, 0];
  Object.defineProperty(video, 'currentTime', { get() { return this.at; }, set(seconds) {
    aim = seconds;
    Object.assign(this, { at: seconds, seeking: true });
    time.clearTimeout(due);
    due = time.setTimeout(() => {
      // Both are heard of when it plays on already.
      this.seeking = false;
      this.say('seeking');
      this.say('seeked');
    }, 4_000);
  } });
  const watchSlowly = async (seconds) => {
    for (let step = 0; step < seconds; step++) {
      await watch(1);
      if (video.seeking) video.at = aim;
    }
  };
  viewers[0].video.currentTime = 2_000;
  await watchSlowly(12);
  assert.equal(video.seeking, false);
  assert.ok(spread() < 3, `${viewers.map((viewer) => viewer.video.at)}`);
  assert.equal(anchors.commands, 2, 'what it was late for is nobody else\'s matter');
});

test('a pause while it is still being moved counts', async () => {
  const { anchors, viewers, watch } = await party(2);
  await viewers[0].video.play();
  await watch(2);
  const { video } = viewers[1];
  // It seeks to where the others went, for longer than its viewer waits.
  Object.defineProperty(video, 'currentTime', { get() { return this.at; }, set(seconds) { Object.assign(this, { at: seconds, seeking: true }); this.say('seeking'); } });
  viewers[0].video.currentTime = 2_000;
  await watch(1);
  assert.ok(video.seeking && video.at >= 2_000);
  video.pause();
  await watch(2);
  assert.deepEqual(viewers.map((viewer) => viewer.video.paused), [true, true]);
  assert.equal(anchors.commands, 3);
});

test('a late joiner is taken along, and its progress is its own report but no seek', async () => {
  const { viewers, time, node, watch } = await party(2);
  await viewers[0].video.play();
  viewers[0].video.currentTime = 2_000;
  await watch(3);
  const page = new Page({ time, node, browser: new Browser(), options: { deviceId: 'late' } });
  const video = new Video(time);
  const attachment = page.sync.attach(video, { titleId: 'film' });
  await time.pass(50);
  page.sync.joinParty({ id: 'p' }, attachment);
  await time.pass(1_100);
  assert.ok(Math.abs(video.currentTime - viewers[0].video.at) < 3, `${video.currentTime}`);
  assert.equal(video.paused, false);
  const kinds = node.events.filter(({ device_id }) => device_id === 'late').map(({ kind }) => kind);
  assert.deepEqual(kinds, ['PLAY']);
});

test('a party that goes to another title moves nobody who is not attached to it, and goes on with who is', async () => {
  const { viewers: [{ page, video, party: joined }], node, anchors, watch } = await party(1);
  const heard = [];
  page.sync.on('party', ({ anchor }) => heard.push(anchor.title_id));
  await video.play();
  await watch(20);
  node.push({ type: 'party', id: 'p', viewers: 2, members: [], anchor: { stamp: 9, title_id: 'next', position_ms: 2_400_000, rate: 1, playing: true, age_ms: 0 } });
  await watch(20);
  assert.ok(video.at < 45, `${video.at}`);
  assert.ok(page.sync.view('film').position_ms < 45_000);
  assert.equal(heard.at(-1), 'next', 'the app is told where it went');
  page.sync.attach(video, { titleId: 'next' });
  await watch(5);
  assert.ok(Math.abs(video.at - 2_425) < 3, `${video.at}`);
  assert.equal(page.sync.party, joined, 'nobody has left and joined again: a host is still the host');
  assert.ok(node.sockets[0].said.every(({ type }) => type !== 'party.leave'));
  assert.equal(anchors.commands, 1);
});

test('who has left is left alone', async () => {
  const { viewers, watch } = await party(2);
  await viewers[0].video.play();
  await watch(2);
  viewers[1].party.leave();
  viewers[0].video.currentTime = 2_000;
  await watch(3);
  assert.ok(viewers[1].video.at < 10);
  assert.equal(viewers[1].page.sync.party, null);
});

test('a viewer whose command is refused goes back to where all are', async () => {
  const { viewers, node, watch } = await party(2);
  await viewers[0].video.play();
  await watch(3);
  const socket = node.sockets[1];
  const { send } = socket;
  socket.send = function (text) {
    if (JSON.parse(text).type === 'party.control') queueMicrotask(() => this.tell({ type: 'error', id: 'p', code: 'not_host' }));
    else send.call(this, text);
  };
  viewers[1].video.currentTime = 3_000;
  await watch(4);
  assert.ok(Math.abs(viewers[1].video.at - viewers[0].video.at) < 1, `${viewers.map(({ video }) => video.at)}`);
});

test('a party that cannot be joined is asked for a few times more, and then it is over', async () => {
  const page = new Page();
  const errors = [];
  page.sync.on('error', ({ code }) => errors.push(code));
  await page.time.pass(100);
  page.node.refuseJoin = { code: 'not_invited', reason: 'no' };
  page.sync.joinParty({ id: 'p', invite: 'mistyped' });
  await page.time.pass(600_000);
  const joins = page.node.sockets.flatMap(({ said }) => said).filter(({ type }) => type === 'party.join');
  assert.equal(joins.length, 7, 'once a second');
  assert.deepEqual(new Set(errors), new Set(['not_invited']), 'the app hears of it');
  assert.equal(page.sync.party, null);
});

test('one of which the node has not heard yet is joined when it has', async () => {
  const page = new Page();
  const video = new Video(page.time);
  const attachment = page.sync.attach(video, { titleId: 'film' });
  await page.time.pass(100);
  page.node.refuseJoin = { code: 'not_invited' };
  page.sync.joinParty({ id: 'p' }, attachment);
  await page.time.pass(2_500);
  page.node.refuseJoin = null;
  page.node.push({ type: 'party', id: 'p', viewers: 2, members: [], anchor: { stamp: 1, title_id: 'film', position_ms: 60_000, rate: 1, playing: false, age_ms: 0 } });
  await page.time.pass(60_000);
  assert.equal(video.currentTime, 60);
  assert.equal(page.sync.party?.id, 'p');
});

test('an error of something else is none of the party', async () => {
  const { viewers, node, time } = await party(1);
  const { said } = node.sockets[0];
  const joins = () => said.filter(({ type }) => type === 'party.join').length;
  const before = joins();
  for (let i = 0; i < 20; i++) node.push({ type: 'error', code: 'malformed' });
  node.push({ type: 'party', id: 'another', over: true, viewers: 0, members: [], anchor: null });
  await time.pass(10_000);
  assert.equal(joins(), before);
  assert.equal(viewers[0].page.sync.party, viewers[0].party);
});

test('a party that is over lets go of the element', async () => {
  const { viewers, node, watch, time } = await party(1);
  const [{ page, video }] = viewers;
  await video.play();
  await watch(2);
  node.push({ type: 'party', id: 'p', over: true, viewers: 0, members: [], anchor: null });
  video.currentTime = 2_000;
  await time.pass(5_000);
  assert.equal(page.sync.party, null);
  assert.equal(video.playbackRate, 1);
  assert.equal(node.sockets[0].said.filter(({ type }) => type === 'party.control').length, 1, 'what is done then is done alone');
});

test('one whose player went to its own start first is taken along too', async () => {
  const { viewers, watch, spread } = await party(2);
  viewers[1].video.currentTime = 0;
  await watch(1);
  await viewers[0].video.play();
  await watch(2);
  viewers[0].video.currentTime = 1_000;
  await watch(3);
  assert.ok(viewers[1].video.at > 1_000, `${viewers[1].video.at}`);
  assert.ok(spread() < 1, `${spread()}`);
});
