// What waits: offline, through restarts, with clocks that are wrong.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Browser, EVENING, FakeNode, Page, Time, Video, told } from './fakes.mjs';

const DAY = 86_400_000;
const pause = (page, seconds, titleId = 'film') => page.sync.report({ kind: 'PAUSE', titleId, positionMs: seconds * 1_000 });
const seek = (page, seconds, titleId = 'film') => page.sync.report({ kind: 'SEEK', titleId, positionMs: seconds * 1_000 });

test('what is watched offline goes out when the line is back, with its age', async () => {
  const page = new Page();
  await page.time.pass(1_000);
  page.node.cutOff();
  pause(page, 10);
  await page.time.pass(30_000);
  pause(page, 20);
  await page.time.pass(60_000);
  assert.equal(page.node.events.length, 0);
  page.node.cutOff(false);
  await page.time.pass(120_000);
  const [batch] = page.node.batches;
  assert.deepEqual(told(batch.events), ['PAUSE 10', 'PAUSE 20']);
  assert.equal(batch.events[0].at_ms, EVENING + 1_000);
  assert.equal(batch.events[1].at_ms, EVENING + 31_000);
  assert.ok(batch.sent_at_ms >= EVENING + 91_000);
});

test('it outlives the browser, and is sent once by the next page', async () => {
  const [time, browser] = [new Time(), new Browser()];
  const node = new FakeNode(time);
  const first = new Page({ time, node, browser });
  await time.pass(1_000);
  node.cutOff();
  pause(first, 10);
  const { version } = (seek(first, 2_000), first.sync.view('film'));
  await time.pass(5_000);
  first.dies();
  await time.pass(60_000);
  node.reset();
  const second = new Page({ time, node, browser });
  await time.pass(5_000);
  assert.deepEqual(told(node.events), ['PAUSE 10', 'SEEK 2000']);
  assert.deepEqual(node.events.map(({ at_ms }) => at_ms), [EVENING + 1_000, EVENING + 1_000]);
  assert.equal(node.events[1].version, version, 'the same place as before');
  assert.equal(browser.indexedDB.tables.get('queue').size, 0);
  second.dies();
  const third = new Page({ time, node, browser });
  await time.pass(5_000);
  assert.equal(node.events.length, 2);
  node.silent = true;
  const resumed = third.sync.resume('film');
  await time.pass(1_100);
  assert.equal((await resumed).position_ms, 2_000_000, 'what was known is known after a restart');
});

test('resume answers from what an earlier page left, without a node', async () => {
  const [time, browser] = [new Time(), new Browser()];
  const node = new FakeNode(time);
  node.cut = true;
  const first = new Page({ time, node, browser });
  await time.pass(100);
  pause(first, 1_234);
  await time.pass(1_000);
  first.dies();
  const second = new Page({ time, node, browser });
  const resumed = second.sync.resume('film');
  await time.pass(1_000);
  assert.equal((await resumed).position_ms, 1_234_000);
});

for (const wrong of [DAY, -DAY]) {
  test(`a clock wrong by ${wrong / DAY} day stamps what waits anew when a node has told the time`, async () => {
    const time = new Time();
    time.skew = wrong;
    const page = new Page({ time });
    page.node.cut = true;
    await time.pass(1_000);
    pause(page, 10);
    await time.pass(9_000);
    seek(page, 3_000);
    await time.pass(10_000);
    pause(page, 3_010);
    assert.equal(page.sync.view('film').position_ms, 3_010_000);
    page.node.cut = false;
    await time.pass(60_000);
    const { events } = page.node;
    assert.deepEqual(told(events), ['PAUSE 10', 'SEEK 3000', 'PAUSE 3010']);
    assert.deepEqual(events.map(({ at_ms }) => at_ms - EVENING), [1_000, 10_000, 20_000]);
    assert.equal(Math.floor(events[1].version / 1_024), EVENING + 10_000);
    assert.equal(events[2].version, events[1].version, 'and the reports after a jump stay in its place');
    seek(page, 100);
    await time.pass(100);
    assert.ok(Math.abs(events.length && page.node.events.at(-1).version / 1_024 - page.node.now) < 1_000, 'the next jump is of now');
    assert.equal(page.sync.view('film').position_ms, 100_000);
  });
}

for (const leaves of ['hide', 'close']) {
  test(`what a page saved in vain as it was left (${leaves}), before it knew the time, is stamped anew`, async () => {
    const [time, browser] = [new Time(), new Browser()];
    time.skew = -DAY;
    const node = new FakeNode(time);
    const page = new Page({ time, node, browser });
    node.cutOff();
    await time.pass(1_000);
    pause(page, 10);
    await time.pass(9_000);
    seek(page, 3_000);
    await time.pass(10_000);
    page[leaves]();
    await time.pass(10_000);
    if (leaves === 'hide') page.show();
    const next = leaves === 'hide' ? page : new Page({ time, node, browser });
    await time.pass(1_000);
    assert.equal(next.sync.view('film').position_ms, 3_000_000, 'nor is it forgotten meanwhile');
    pause(next, 3_010);
    node.cutOff(false);
    await time.pass(60_000);
    const { events } = node;
    assert.deepEqual(told(events), ['PAUSE 10', 'SEEK 3000', 'PAUSE 3010']);
    assert.deepEqual(events.map(({ at_ms }) => at_ms - EVENING), [1_000, 10_000, 31_000]);
    assert.equal(Math.floor(events[1].version / 1_024), EVENING + 10_000);
    assert.equal(events[2].version, events[1].version, 'and what follows stays in its place');
  });
}

test('a clock corrected while events wait does no harm', async () => {
  const time = new Time();
  time.skew = DAY;
  const page = new Page({ time });
  page.node.cut = true;
  await time.pass(1_000);
  pause(page, 10);
  await time.pass(10_000);
  time.skew = 0;
  pause(page, 20);
  await time.pass(10_000);
  page.node.cut = false;
  await time.pass(60_000);
  assert.deepEqual(page.node.events.map(({ at_ms }) => at_ms - EVENING), [1_000, 11_000]);
});

test('a clock corrected although the time was known moves nothing', async () => {
  const page = new Page();
  await page.time.pass(1_000);
  pause(page, 10);
  await page.time.pass(1_000);
  page.node.cutOff();
  page.time.skew = -DAY;
  await page.time.pass(8_000);
  seek(page, 2_000);
  await page.time.pass(10_000);
  page.node.cutOff(false);
  await page.time.pass(60_000);
  assert.deepEqual(page.node.events.map(({ at_ms }) => at_ms - EVENING), [1_000, 10_000]);
  assert.equal(Math.floor(page.node.events[1].version / 1_024), EVENING + 10_000);
});

test('a retry says the same, so that a node recognises it', async () => {
  const page = new Page();
  await page.time.pass(1_000);
  const sent = [];
  const { take } = page.node;
  page.node.take = (body) => {
    if (body.events.length) sent.push(structuredClone(body.events));
    return take.call(page.node, body);
  };
  const { WebSocket } = page.node;
  const tell = WebSocket.prototype.tell;
  WebSocket.prototype.tell = function (message) {
    if (message.type !== 'ack') tell.call(this, message); // Kept, but the answer is lost.
  };
  seek(page, 500);
  await page.time.pass(11_000);
  WebSocket.prototype.tell = tell;
  await page.time.pass(30_000);
  assert.ok(sent.length >= 2);
  assert.deepEqual(sent.at(-1), sent[0]);
});

test('a request that nobody answers is given up, and what it was to report is sent again', async (t) => {
  const page = new Page();
  t.mock.method(AbortSignal, 'timeout', (ms) => {
    const given = new AbortController();
    page.time.setTimeout(() => given.abort(new DOMException('nobody answers', 'TimeoutError')), ms);
    return given.signal;
  });
  page.node.hears = false;
  await page.time.pass(10_000);
  page.node.silent = true;
  page.sync.report({ kind: 'PAUSE', titleId: 'film', positionMs: 60_000 });
  await page.time.pass(10_000);
  page.node.silent = false;
  assert.deepEqual(told(page.node.events), []);
  await page.time.pass(30_000);
  assert.deepEqual(told(page.node.events), ['PAUSE 60']);
  page.sync.close();
});

test('what a node refuses is told, and not sent again', async () => {
  const page = new Page();
  const refused = [];
  page.sync.on('refused', (refusal) => refused.push(refusal));
  await page.time.pass(1_000);
  page.node.refuse = { code: 'too_many_titles', reason: 'full' };
  pause(page, 10);
  await page.time.pass(60_000);
  assert.equal(page.node.events.length, 1);
  assert.equal(refused[0].code, 'too_many_titles');
  assert.equal(refused[0].event.position_ms, 10_000);
  assert.equal(page.sync.view('film').started, false, 'nor does it stand in what is shown');
});

test('an app that fails over what it is told is told so, and stops nothing', async (t) => {
  const page = new Page();
  const uncaught = [];
  // In place of the runner's own, which would take the app's failure for the test's.
  const others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', (error) => uncaught.push(error.message));
  t.after(() => {
    process.removeAllListeners('unhandledRejection');
    for (const other of others) process.on('unhandledRejection', other);
  });
  const heard = [];
  page.sync.on('refused', () => { throw new Error('of the app'); });
  page.sync.on('refused', ({ event }) => heard.push(event.title_id));
  await page.time.pass(1_000);
  page.node.refuse = { code: 'bad_position', reason: 'no' };
  let moved;
  page.sync.migrate([{ titleId: 'a', positionMs: 1 }, { titleId: 'b', positionMs: 1 }]).then((answer) => { moved = answer; });
  await page.time.pass(5_000);
  assert.deepEqual(moved?.map(({ code }) => code), ['bad_position', 'bad_position']);
  assert.deepEqual(heard, ['a', 'b']);
  assert.equal(page.sync._queue.length, 0);
  assert.deepEqual(uncaught, ['of the app', 'of the app']);
});

test('an evening without a network stays within its bound, and loses no move', async () => {
  const page = new Page({ options: { live: false } });
  page.node.cut = true;
  seek(page, 100);
  for (let i = 1; i < 3_000; i++) page.sync.report({ kind: 'HEARTBEAT', titleId: 'film', positionMs: 100_000 + i * 1_000 });
  await page.time.pass(1_000);
  page.node.cut = false;
  await page.time.pass(60_000);
  assert.equal(page.node.events.length, 1_000);
  assert.equal(told(page.node.events)[0], 'SEEK 100');
  assert.equal(told(page.node.events).at(-1), 'HEARTBEAT 3099');
  assert.ok(page.node.batches.every((batch) => Buffer.byteLength(JSON.stringify(batch)) < 65_536));
});

test('without IndexedDB memory serves', async () => {
  const page = new Page({ storage: false });
  await page.time.pass(1_000);
  page.node.cutOff();
  pause(page, 10);
  await page.time.pass(1_000);
  page.node.cutOff(false);
  await page.time.pass(60_000);
  assert.deepEqual(told(page.node.events), ['PAUSE 10']);
});

test('a tab takes over what a dead one left, and nothing of one that lives', async () => {
  const [time, browser] = [new Time(), new Browser()];
  const node = new FakeNode(time);
  node.cut = true;
  const first = new Page({ time, node, browser });
  await time.pass(10);
  pause(first, 10);
  await time.pass(10);
  const second = new Page({ time, node, browser });
  await time.pass(10);
  assert.equal(second.sync._queue.length, 0);
  node.cut = false;
  await time.pass(60_000);
  assert.deepEqual(told(node.events), ['PAUSE 10']);
});

test('what waits for one profile is not sent by a page of another', async () => {
  const [time, browser] = [new Time(), new Browser()];
  const node = new FakeNode(time);
  node.cut = true;
  const ada = new Page({ time, node, browser });
  await time.pass(10);
  pause(ada, 10);
  await time.pass(10);
  ada.dies();
  node.cut = false;
  const bob = new Page({ time, node, browser, options: { profileId: 'bob' } });
  await time.pass(60_000);
  assert.equal(node.events.length, 0);
  assert.equal(bob.sync.view('film').started, false);
});

/** Two tabs of one device with the same film; the first plays it and is at 12 s, where the second has followed. */
async function twoTabs() {
  const [time, browser] = [new Time(), new Browser()];
  const node = new FakeNode(time);
  const [one, other] = [new Page({ time, node, browser }), new Page({ time, node, browser })];
  const [first, second] = [new Video(time), new Video(time)];
  const attached = one.sync.attach(first, { titleId: 'film' });
  other.sync.attach(second, { titleId: 'film' });
  await time.pass(1_000);
  await first.play();
  await first.watch(12);
  return { time, node, one, other, first, second, attached };
}

test('two tabs of one device: the one that the viewer touched last reports', async () => {
  const { time, node, first, second } = await twoTabs();
  assert.equal(second.currentTime, 10, 'the tab that stands still goes along');
  await second.play();
  second.currentTime = 3_000;
  await time.pass(400);
  node.batches.length = 0;
  await first.watch(120, [second]);
  assert.ok(node.events.length === 12 && node.events.every(({ position_ms }) => position_ms >= 3_000_000), 'the first one is quiet now');
  await first.watch(1, [second]);
  first.currentTime = 2_000;
  await time.pass(400);
  assert.equal(told(node.events).at(-1), 'SEEK 2000', 'until the viewer touches it again');
});

test('the one that goes on reports, when the other has paused, was closed or is killed', async () => {
  for (const ends of ['pause', 'close', 'killed']) {
    const { time, node, other, first, second } = await twoTabs();
    await second.play();
    await first.watch(5, [second]);
    if (ends === 'pause') second.pause();
    if (ends === 'close') other.sync.close();
    await time.pass(0);
    node.batches.length = 0;
    // Of a tab that is killed nothing is heard.
    await first.watch(1_800);
    const wait = ends === 'killed' ? 30 : 0;
    const [begins] = node.events;
    assert.ok(begins.position_ms <= (17 + wait + 10) * 1_000, `${ends}: ${told(node.events)[0]}`);
    assert.ok(node.events.length >= (1_800 - wait) / 10 - 2, `${ends}: ${node.events.length}`);
    first.pause();
    await time.pass(0);
    assert.equal(told(node.events).at(-1), `PAUSE ${first.currentTime}`);
  }
});

test('one that only stalled is the one that reports when it goes on', async () => {
  const { time, node, first, second } = await twoTabs();
  await second.play();
  second.currentTime = 3_000;
  await time.pass(400);
  await first.watch(60);
  node.batches.length = 0;
  await first.watch(120, [second]);
  const early = node.events.filter(({ position_ms }) => position_ms < 3_000_000);
  assert.ok(early.length <= 1, `${told(early)}`);
  assert.ok(node.events.length >= 12);
});

test('start over counts in a tab that is quiet because of another', async () => {
  const { time, node, first, second, attached } = await twoTabs();
  await second.play();
  await first.watch(5, [second]);
  node.batches.length = 0;
  attached.restart();
  await time.pass(0);
  assert.deepEqual(told(node.events), ['PLAY 0']);
  assert.equal(node.events[0].restart, true);
});

test('a tab that is quiet because of another needs no line when it is paused and hidden', async () => {
  const { time, node, one, first, second } = await twoTabs();
  await second.play();
  await first.watch(5, [second]);
  first.pause();
  one.hide();
  await time.pass(11_000);
  assert.equal(node.sockets[0].readyState, 3);
});

test('old positions of an app move in, once a node has them, and as older than everything', async () => {
  const page = new Page();
  await page.time.pass(1_000);
  const entries = [{ titleId: 'film', positionMs: 61_000.4 }, { titleId: 'show', positionMs: 5, durationMs: 10, seriesId: 's', atMs: EVENING - DAY }];
  const moved = page.sync.migrate(entries);
  await page.time.pass(1_000);
  assert.deepEqual(await moved, [null, null]);
  assert.deepEqual(page.node.events.map(({ title_id, kind, position_ms, at_ms, version }) => [title_id, kind, position_ms, at_ms, version]), [
    ['film', 'PAUSE', 61_000, 1, undefined], ['show', 'PAUSE', 5, EVENING - DAY, undefined],
  ]);
});

test('however many they are, all of them', async () => {
  const page = new Page();
  await page.time.pass(1_000);
  let moved;
  page.sync.migrate(Array.from({ length: 2_345 }, (_, i) => ({ titleId: `film ${i}`, positionMs: i }))).then((answer) => { moved = answer; });
  await page.time.pass(60_000);
  assert.equal(moved?.length, 2_345);
  assert.ok(moved.every((refusal) => refusal === null));
  assert.equal(new Set(page.node.events.map(({ title_id }) => title_id)).size, 2_345);
  assert.equal(page.browser.indexedDB.tables.get('queue').size, 0);
});

test('one that is no position is refused by itself, and all others move in', async () => {
  const page = new Page();
  await page.time.pass(1_000);
  let moved;
  const entries = Array.from({ length: 800 }, (_, i) => ({ titleId: i === 700 ? '' : `film ${i}`, positionMs: i === 3 ? NaN : 1_000 }));
  page.sync.migrate(entries).then((answer) => { moved = answer; });
  await page.time.pass(60_000);
  assert.deepEqual(moved?.map((refusal, i) => refusal && [i, refusal.code]).filter(Boolean), [[3, 'malformed'], [700, 'malformed']]);
  assert.equal(page.node.events.length, 798);
});

test('what had to give way to others is told to whoever waits for it', async () => {
  const page = new Page();
  page.node.cut = true;
  await page.time.pass(1_000);
  const answers = [];
  for (let i = 0; i < 1_200; i++) page.sync.migrate([{ titleId: `film ${i}`, positionMs: i }]).then((answer) => answers.push(answer));
  await page.time.pass(1_000);
  assert.deepEqual(answers, Array(200).fill([{ code: 'queue_full' }]));
  page.node.cut = false;
  await page.time.pass(60_000);
  assert.equal(answers.length, 1_200);
  assert.deepEqual(answers.at(-1), [null]);
});
