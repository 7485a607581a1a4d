// Browsers in which something is missing, forbidden or full: nothing throws, and reports go out all the same.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Browser, FakeNode, Page, Time, Video, progress, told } from './fakes.mjs';

const unhandled = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));
after(() => assert.deepEqual(unhandled, [], 'no rejection is left to the page'));

const forbidden = () => { throw new DOMException('The operation is insecure.', 'SecurityError'); };

/** Plays for a while on a page that is like this, and tells what arrived. */
async function used(env) {
  const page = new Page({ options: { env } });
  page.node.shown.set('film', progress('film', { position_ms: 60_000 }));
  const video = new Video(page.time);
  const { ready } = page.sync.attach(video, { titleId: 'film' });
  await page.time.pass(1_200);
  await ready;
  await video.play();
  await video.watch(11);
  video.pause();
  assert.equal(page.sync.view('film').position_ms, 71_000, 'its own word is known at once');
  await page.time.pass(2_000);
  page.hide();
  page.show();
  await page.time.pass(2_000);
  page.sync.close();
  await page.time.pass(2_000);
  return told(page.node.events);
}

const EVERYTHING = ['PLAY 60', 'HEARTBEAT 70', 'PAUSE 71'];
const never = { open: () => ({}) };
const failing = { open: () => { const request = {}; queueMicrotask(() => request.onerror?.(new Event('error'))); return request; } };
/** A database that opens, and of which every transaction fails as `fails` says. */
const broken = (fails) => ({
  open: () => {
    const request = { result: { createObjectStore() {}, transaction: fails } };
    queueMicrotask(() => request.onsuccess?.());
    return request;
  },
});
const unread = () => {
  const request = {};
  queueMicrotask(() => request.onerror?.(new Event('error')));
  return request;
};
const full = () => { throw new DOMException('full', 'QuotaExceededError'); };

const WORLDS = {
  'no IndexedDB, as in some private windows': { indexedDB: undefined },
  'an IndexedDB that is forbidden, as without cookies': { indexedDB: { open: forbidden } },
  'an IndexedDB that fails to open': { indexedDB: failing },
  'an IndexedDB that never opens': { indexedDB: never },
  'an IndexedDB that was deleted under the page': { indexedDB: broken(() => { throw new DOMException('closing', 'InvalidStateError'); }) },
  'an IndexedDB that is full': { indexedDB: broken(() => ({ objectStore: () => ({ put: full, delete: full, getAll: unread }) })) },
  'no BroadcastChannel': { BroadcastChannel: undefined },
  'a BroadcastChannel that is forbidden': { BroadcastChannel: class { constructor() { forbidden(); } } },
  'no Web Locks': { locks: undefined },
  'Web Locks that are forbidden': { locks: { request: async () => forbidden(), query: async () => forbidden() } },
  'no localStorage': { window: new EventTarget() },
  'a localStorage that is forbidden': { window: Object.defineProperty(new EventTarget(), 'localStorage', { get: forbidden }) },
  'no document': { document: undefined },
};
for (const [world, env] of Object.entries(WORLDS)) {
  test(`with ${world}`, async () => assert.deepEqual(await used(env), EVERYTHING));
}

test('with nothing of all that at once, and a clock that is no more than one', async () => {
  assert.deepEqual(await used({ ...WORLDS['no IndexedDB, as in some private windows'], BroadcastChannel: undefined, locks: undefined, window: undefined, document: undefined }), EVERYTHING);
});

test('without WebSocket it reports by request', async () => assert.deepEqual(await used({ WebSocket: undefined }), EVERYTHING));

test('with a WebSocket that the page may not open, too', async () => assert.deepEqual(await used({ WebSocket: class { constructor() { forbidden(); } } }), EVERYTHING));

test('a device without a name gets one, also where nothing is kept and no secure random is to be had', () => {
  const names = new Set();
  for (const window of [new EventTarget(), Object.defineProperty(new EventTarget(), 'localStorage', { get: forbidden })]) {
    for (let i = 0; i < 50; i += 1) names.add(new Page({ options: { deviceId: undefined, env: { window, random: Math.random } } }).sync.deviceId);
  }
  assert.equal(names.size, 100);
  for (const name of names) assert.match(name, /^[\w. ]{8,40}$/);
});

test('what storage comes with late is sent late', async () => {
  const [time, browser] = [new Time(), new Browser()];
  const node = new FakeNode(time);
  node.cut = true;
  const first = new Page({ time, node, browser });
  await time.pass(10);
  first.sync.report({ kind: 'PAUSE', titleId: 'film', positionMs: 10_000 });
  await time.pass(10);
  first.dies();
  node.reset();
  const { open } = browser.indexedDB;
  let let_go;
  const slow = { open: (...args) => { const request = {}; let_go = () => Object.assign(open(...args), { onsuccess() { request.result = this.result; request.onsuccess(); } }); return request; } };
  const second = new Page({ time, node, browser, options: { env: { indexedDB: slow } } });
  await time.pass(2_000);
  second.sync.report({ kind: 'PAUSE', titleId: 'film', positionMs: 20_000 });
  await time.pass(2_000);
  assert.deepEqual(told(node.events), ['PAUSE 20'], 'nobody waited for it');
  let_go();
  await time.pass(2_000);
  assert.deepEqual(told(node.events), ['PAUSE 20', 'PAUSE 10']);
});
