// Another viewer on the same page: nothing of the one is taken for the other's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Browser, FakeNode, Page, Time, Video, progress, told } from './fakes.mjs';

/** A page of ada's on which ben can take over, in the same tab: its video, its node, its storage. */
async function family() {
  const [time, browser] = [new Time(), new Browser()];
  const node = new FakeNode(time);
  const as = (profileId) => new Page({ time, node, browser, options: { profileId } });
  const ada = as('ada');
  const video = new Video(time);
  ada.sync.attach(video, { titleId: 'film' });
  await time.pass(1_100);
  const of = (profile) => told(node.events.filter(({ profile_id }) => profile_id === profile));
  return { time, browser, node, as, ada, video, of };
}

test('a viewer who is new to the title starts at its beginning, not where the other stood', async () => {
  const { as, ada, video, of, time } = await family();
  video.currentTime = 1_000;
  await video.play();
  await video.watch(12);
  ada.sync.close();
  video.pause();
  const ben = as('ben');
  const { ready } = ben.sync.attach(video, { titleId: 'film' });
  await time.pass(1_100);
  assert.equal((await ready).started, false);
  assert.equal(video.currentTime, 0);
  await video.play();
  await video.watch(10);
  assert.deepEqual(of('ben'), ['PLAY 0', 'HEARTBEAT 10']);
  assert.equal(of('ada').at(-1), 'STOP 1012');
});

test('one who has finished it, too, and one who is in the middle goes there', async () => {
  for (const [shown, at] of [[{ position_ms: 5_400_000, completed: true }, 0], [{ position_ms: 70_000 }, 70]]) {
    const { as, ada, video, node, time } = await family();
    video.currentTime = 1_000;
    await time.pass(1_000);
    ada.sync.close();
    node.shown.set('film', { ...progress('film', shown), profile_id: 'ben' });
    as('ben').sync.attach(video, { titleId: 'film' });
    await time.pass(1_100);
    assert.equal(video.currentTime, at);
  }
});

test('switched in mid-playback and without a farewell, the element is the new viewer’s alone', async () => {
  const { as, ada, video, of, time } = await family();
  await video.play();
  await video.watch(25);
  const ben = as('ben');
  ben.sync.attach(video, { titleId: 'film' });
  await time.pass(1_100);
  assert.equal(ada.sync._attached.size, 0);
  await video.watch(12);
  video.currentTime = 3_000;
  await time.pass(400);
  video.pause();
  await time.pass(100);
  assert.deepEqual(of('ada'), ['PLAY 0', 'HEARTBEAT 10', 'HEARTBEAT 20', 'STOP 25']);
  assert.equal(of('ben')[0], 'PLAY 0');
  assert.deepEqual(of('ben').slice(-2), ['SEEK 3000', 'PAUSE 3000']);
  assert.equal(ada.sync.view('film').position_ms, 25_000);
  assert.equal(ben.sync.view('film').position_ms, 3_000_000);
});

test('asked not to resume, a viewer goes on where the element stands', async () => {
  const { as, ada, video, of, time } = await family();
  video.currentTime = 1_000;
  await time.pass(1_000);
  ada.sync.close();
  as('ben').sync.attach(video, { titleId: 'film', resume: false });
  await time.pass(1_100);
  assert.equal(video.currentTime, 1_000);
  await video.play();
  await time.pass(10);
  assert.deepEqual(of('ben'), ['PLAY 1000']);
});

test('nor is anybody moved who comes back, or goes on with another title', async () => {
  const { as, ada, video, time, node } = await family();
  video.currentTime = 1_000;
  await time.pass(1_000);
  ada.sync.attach(video, { titleId: 'film', resume: true });
  await time.pass(1_100);
  assert.equal(video.currentTime, 1_000, 'her own place');
  const next = as('ben');
  video.currentTime = 30;
  next.sync.attach(video, { titleId: 'other' });
  await time.pass(1_100);
  assert.equal(video.currentTime, 30, 'of another title the element says where it is');
  assert.ok(node.events.every(({ title_id, profile_id }) => profile_id !== 'ben' || title_id === 'other'));
});

test('what one left unsent waits for that one, and is not shown to the other', async () => {
  const { as, ada, video, node, of, time, browser } = await family();
  node.cutOff();
  await video.play();
  await video.watch(25);
  ada.sync.close();
  const ben = as('ben');
  ben.sync.attach(video, { titleId: 'film' });
  await time.pass(1_100);
  assert.equal(ben.sync.view('film').started, true, 'his own start');
  assert.ok(ben.sync.view('film').position_ms < 1_000);
  assert.equal(video.currentTime, 0);
  await video.watch(11);
  node.cutOff(false);
  await time.pass(60_000);
  assert.deepEqual(of('ada'), [], 'ben sends nothing of hers');
  assert.equal(of('ben')[0], 'PLAY 0');
  assert.ok([...browser.indexedDB.tables.get('queue').values()].every(({ event }) => event.profile_id === 'ada'));
  ben.sync.close();
  as('ada');
  await time.pass(5_000);
  assert.deepEqual(of('ada'), ['PLAY 0', 'HEARTBEAT 10', 'HEARTBEAT 20', 'STOP 25']);
});

test('a closed client whose request fails afterwards is silent', async () => {
  const { ada, node, time } = await family();
  node.cutOff();
  ada.sync.report({ kind: 'PAUSE', titleId: 'film', positionMs: 1_000 });
  ada.sync.close();
  await time.pass(10);
  const count = node.requests.length;
  node.cutOff(false);
  await time.pass(600_000);
  assert.equal(node.requests.length, count);
  assert.equal(ada.sync.report({ kind: 'PAUSE', titleId: 'film', positionMs: 2_000 }).position_ms, 2_000, 'nor does it throw');
  await time.pass(600_000);
  assert.equal(node.requests.length, count);
});

test('who lets go of an element leaves the party that moved it', async () => {
  const { ada, as, video, time } = await family();
  const attachment = ada.sync.attach(video, { titleId: 'film' });
  await time.pass(1_100);
  const party = ada.sync.joinParty({ id: 'p', invite: 'x' }, attachment);
  party.pushed({ id: 'p', anchor: { stamp: 1, position_ms: 60_000, playing: false, rate: 1, age_ms: 0 } });
  assert.equal(video.currentTime, 60);
  await time.pass(100);
  as('ben').sync.attach(video, { titleId: 'film' });
  await time.pass(1_100);
  assert.equal(ada.sync.party, null);
  video.currentTime = 500;
  await time.pass(5_000);
  assert.equal(video.currentTime, 500);
});
