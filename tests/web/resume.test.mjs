// Where to resume: the node's word, this device's own reports over it, and what is known when nobody answers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { overlay } from '../../src/gateway/web/leftoff.js';
import { Browser, EVENING, FakeNode, Page, Time, Video, progress } from './fakes.mjs';

async function resumed(page, title, options, wait = 1_000) {
  let answer;
  page.sync.resume(title, options).then((shown) => { answer = shown; });
  await page.time.pass(wait);
  return answer;
}

test('the node is asked', async () => {
  const page = new Page();
  page.node.shown.set('a/b', progress('a/b', { position_ms: 70_000 }));
  assert.equal((await resumed(page, 'a/b', {}, 0)).position_ms, 70_000);
  assert.equal(page.node.requests.at(-1).path, '/v1/profiles/ada/titles/a%2Fb?policy=continue');
});

test('a node that is silent for 800 ms is answered for: by 0 where nothing is known', async () => {
  const page = new Page();
  page.node.silent = true;
  assert.equal(await resumed(page, 'film', {}, 790), undefined);
  const shown = await resumed(page, 'film', {}, 810);
  assert.equal(shown.position_ms, 0);
  assert.equal(shown.started, false);
});

test('and by memory where something is', async () => {
  const page = new Page();
  page.node.shown.set('film', progress('film', { position_ms: 70_000 }));
  await resumed(page, 'film');
  page.node.silent = true;
  assert.equal((await resumed(page, 'film')).position_ms, 70_000);
  page.sync.report({ kind: 'PAUSE', titleId: 'film', positionMs: 80_000 });
  assert.equal((await resumed(page, 'film')).position_ms, 80_000);
});

test('a node that fails, refuses or talks nonsense is no error', async () => {
  const page = new Page();
  page.node.cutOff();
  assert.equal((await resumed(page, 'film')).position_ms, 0);
  page.node.fetch = async () => ({ ok: false, status: 500, json: async () => { throw new SyntaxError('nonsense'); } });
  assert.equal((await resumed(page, 'film')).position_ms, 0);
  page.node.fetch = async () => ({ ok: true, status: 200, json: async () => 'nonsense' });
  assert.equal((await resumed(page, 'film')).position_ms, 0);
  page.sync.setToken(async () => { throw new Error('signed out'); });
  assert.equal((await resumed(page, 'film')).position_ms, 0);
});

test('own reports that no node has kept yet are laid over what it answers', async () => {
  const page = new Page();
  page.node.shown.set('film', progress('film', { position_ms: 70_000, version: 3 }));
  await resumed(page, 'film');
  const { tell } = page.node.WebSocket.prototype;
  page.node.WebSocket.prototype.tell = function (message) { if (message.type !== 'ack') tell.call(this, message); };
  page.sync.report({ kind: 'SEEK', titleId: 'film', positionMs: 3_000_000 });
  const shown = await resumed(page, 'film');
  assert.equal(shown.position_ms, 3_000_000);
  assert.deepEqual(shown.places.map(({ position_ms }) => position_ms), [3_000_000, 70_000]);
  assert.equal(shown.device_id, 'laptop');
});

test('for a minute also those that one node has kept: another may be behind it', async () => {
  const page = new Page();
  await page.time.pass(100);
  page.sync.report({ kind: 'PAUSE', titleId: 'film', positionMs: 90_000 });
  await page.time.pass(100);
  assert.equal(page.node.events.length, 1);
  assert.equal((await resumed(page, 'film', {}, 0)).position_ms, 90_000);
  await page.time.pass(61_000);
  assert.equal((await resumed(page, 'film', {}, 0)).position_ms, 0, 'then a node has the last word');
});

test('the policies', async () => {
  const page = new Page();
  page.node.shown.set('film', progress('film', { version: 3, position_ms: 70_000, furthest_ms: 900_000 }));
  assert.equal((await resumed(page, 'film', { policy: 'furthest' })).position_ms, 70_000, 'as the node says it');
  assert.ok(page.node.requests.at(-1).path.endsWith('?policy=furthest'));
  await page.time.pass(10);
  page.sync.report({ kind: 'SEEK', titleId: 'film', positionMs: 5_000 });
  assert.equal((await resumed(page, 'film', { policy: 'furthest' })).position_ms, 900_000);
  assert.equal((await resumed(page, 'film', { policy: 'last_activity' })).position_ms, 5_000);
});

test('an overlay is the join of both', () => {
  const shown = progress('film', { version: 8, position_ms: 595_000, high_ms: 600_000, at_ms: EVENING, duration_ms: 1_000_000 });
  const own = (more) => ({ version: 8, position_ms: 610_000, last_ms: 610_000, touched: (EVENING + 5_000) * 1_024, ended: false, state: 'paused', device_id: 'me', speed: 1, ...more });
  assert.equal(overlay(shown, []), shown);
  assert.equal(overlay(shown, [own()]).position_ms, 610_000);
  const older = overlay(shown, [own({ touched: (EVENING - 5_000) * 1_024, position_ms: 500_000 })]);
  assert.deepEqual([older.position_ms, older.device_id], [595_000, 'tv'], 'what happened before changes neither place nor activity');
  const stepped = overlay(shown, [own({ stepped_back: true, last_ms: 580_000 })]);
  assert.deepEqual([stepped.position_ms, stepped.high_ms], [580_000, 610_000]);
  assert.equal(overlay(shown, [own({ stepped_back: true, last_ms: 500_000 })]).position_ms, 610_000, 'by more than a minute is no step');
  const old = overlay(shown, [own({ version: 5, position_ms: 900_000, last_ms: 900_000 })]);
  assert.deepEqual([old.version, old.position_ms, old.furthest_ms], [8, 600_000, 900_000], 'an older place outranks nothing');
  assert.equal(overlay(shown, [own({ position_ms: 950_000 })]).completed, true);
  assert.equal(overlay(shown, [own({ position_ms: 1_100_000 })]).duration_ms, undefined, 'a length that was passed is doubted');
});

test('a length that is said later than the first report counts', () => {
  const page = new Page();
  page.sync.report({ kind: 'PLAY', titleId: 'film', positionMs: 0, durationMs: undefined });
  page.sync.report({ kind: 'PAUSE', titleId: 'film', positionMs: 970_000, durationMs: 1_000_000 });
  const { duration_ms, completed } = page.sync.view('film');
  assert.deepEqual([duration_ms, completed], [1_000_000, true]);
});

/** A page that asks where to resume, and a node whose answer, once read, takes half a second. */
async function asked() {
  const page = new Page();
  const { time, node } = page;
  const { fetch } = node;
  node.fetch = async (...request) => {
    const answer = await fetch(...request);
    if (request[0].includes('/titles/')) await new Promise((resolve) => time.setTimeout(resolve, 500));
    return answer;
  };
  await time.pass(1_000);
  node.shown.set('film', progress('film', { version: 3, position_ms: 70_000 }));
  const answer = page.sync.resume('film');
  await time.pass(200);
  return { page, time, node, answer };
}

test('an answer that a push has overtaken does not replace it', async () => {
  const { page, time, node, answer } = await asked();
  node.push({ type: 'progress', ...progress('film', { version: 9, position_ms: 900_000 }) });
  await time.pass(1_000);
  assert.equal((await answer).position_ms, 900_000);
  assert.equal(page.sync.view('film').version, 9);
  assert.deepEqual([...page.browser.indexedDB.tables.get('titles').values()].map(({ shown }) => shown.version), [9]);
});

test('an answer that comes late moves a player that stands still, and no other', async () => {
  for (const [plays, completed, expected] of [[false, false, 70], [true, false, 1], [false, true, 0]]) {
    const page = new Page();
    const { time, node } = page;
    const { fetch } = node;
    node.fetch = async (...request) => {
      if (request[0].includes('/titles/')) await new Promise((resolve) => time.setTimeout(resolve, 3_000));
      return fetch(...request);
    };
    node.shown.set('film', progress('film', { version: 3, position_ms: 70_000, completed }));
    const video = new Video(time);
    page.sync.attach(video, { titleId: 'film' });
    await time.pass(1_500);
    assert.equal(video.at, 0);
    if (plays) await video.play();
    if (plays) await video.watch(1);
    await time.pass(3_000);
    assert.equal(video.at, expected);
  }
});

test('nor does one that an erasure has overtaken bring back what was erased', async () => {
  const { page, time, node, answer } = await asked();
  node.push({ type: 'erased', profile_id: 'ada' });
  await time.pass(1_000);
  assert.equal((await answer).started, false);
  assert.equal(page.sync.view('film').started, false);
  assert.equal(page.browser.indexedDB.tables.get('titles').size, 0);
});

test('one that only a push of another title has overtaken counts', async () => {
  const { time, node, answer } = await asked();
  node.push({ type: 'progress', ...progress('other', { version: 9, position_ms: 900_000 }) });
  await time.pass(1_000);
  assert.equal((await answer).position_ms, 70_000);
});

test('what was erased while no page was open is known when the title is asked for', async () => {
  const [time, browser] = [new Time(), new Browser()];
  const node = new FakeNode(time);
  node.shown.set('film', progress('film', { position_ms: 70_000 }));
  const first = new Page({ time, node, browser });
  await resumed(first, 'film');
  first.close();
  node.shown.clear();
  const page = new Page({ time, node, browser });
  await time.pass(1_000);
  assert.equal(page.sync.view('film').position_ms, 70_000, 'not before');
  assert.equal((await resumed(page, 'film')).started, false);
  assert.equal(page.sync.view('film').started, false);
  assert.deepEqual([...browser.indexedDB.tables.get('titles').values()].map(({ shown }) => shown.started), [false]);
});

test('what is remembered moves nobody who asked not to resume', async () => {
  const [time, browser] = [new Time(), new Browser()];
  const node = new FakeNode(time);
  node.shown.set('film', progress('film', { position_ms: 70_000 }));
  const first = new Page({ time, node, browser });
  await resumed(first, 'film');
  first.close();
  const page = new Page({ time, node, browser });
  const video = new Video(time);
  page.sync.attach(video, { titleId: 'film', resume: false });
  await time.pass(2_000);
  assert.equal(video.currentTime, 0);
});

test('erased elsewhere, it is forgotten here', async () => {
  const page = new Page();
  const erased = [];
  page.sync.on('erased', (message) => erased.push(message));
  page.node.shown.set('film', progress('film', { position_ms: 70_000 }));
  await resumed(page, 'film');
  page.node.push({ type: 'erased', profile_id: 'ada', cursor: 'c3' });
  await page.time.pass(10);
  assert.equal(erased.length, 1);
  page.node.silent = true;
  assert.equal((await resumed(page, 'film')).position_ms, 0);
  assert.equal(page.browser.indexedDB.tables.get('titles').size, 0);
});

test('a push about another profile is none of this one', async () => {
  const page = new Page();
  const heard = [];
  page.sync.on('progress', (shown) => heard.push(shown));
  await page.time.pass(10);
  page.node.push({ type: 'progress', ...progress('film', { position_ms: 70_000 }), profile_id: 'bob' });
  page.node.push({ type: 'erased', profile_id: 'bob' });
  assert.deepEqual(heard, []);
  assert.equal(page.sync.view('film').started, false);
});
