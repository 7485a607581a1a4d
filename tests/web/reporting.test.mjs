// What an attached element reports, and when.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENING, Page, Video, progress, told } from './fakes.mjs';

async function playing({ options, attach, duration, shown } = {}) {
  const page = new Page({ options });
  if (shown) page.node.shown.set('film', shown);
  const video = new Video(page.time, { duration });
  const attachment = page.sync.attach(video, { titleId: 'film', ...attach });
  await page.time.pass(100);
  await video.play();
  await page.time.pass(0);
  return { page, video, attachment, node: page.node, time: page.time };
}

test('a heartbeat every ten seconds, and every two in the last minute, and the end', async () => {
  const { video, node } = await playing({ duration: 120 });
  await video.watch(120);
  const kinds = node.events.map(({ kind }) => kind);
  assert.equal(kinds[0], 'PLAY');
  assert.equal(kinds.at(-1), 'END');
  const beats = node.events.filter(({ kind }) => kind === 'HEARTBEAT').map(({ position_ms }) => position_ms);
  assert.deepEqual(beats.filter((ms) => ms <= 60_000), [10_000, 20_000, 30_000, 40_000, 50_000, 60_000]);
  assert.deepEqual(beats.filter((ms) => ms > 60_000), Array.from({ length: 29 }, (_, i) => 62_000 + i * 2_000));
  assert.ok(node.events.every(({ duration_ms }) => duration_ms === 120_000));
});

test('pause goes at once, and what stands still says nothing', async () => {
  const { video, node, time } = await playing();
  await video.watch(3);
  video.pause();
  await time.pass(0);
  assert.deepEqual(told(node.events), ['PLAY 0', 'PAUSE 3']);
  for (let i = 0; i < 100; i++) video.say('timeupdate');
  await time.pass(600_000);
  assert.equal(node.events.length, 2);
});

test('a screen that stalls while it plays says nothing', async () => {
  const { video, node, time } = await playing();
  for (let i = 0; i < 40; i++) {
    await time.pass(5_000);
    video.say('timeupdate');
  }
  assert.deepEqual(told(node.events), ['PLAY 0']);
});

test('a scrub is one seek, when it has rested for 300 ms', async () => {
  const { video, node, time } = await playing();
  await video.watch(5);
  for (let step = 1; step <= 20; step++) {
    video.currentTime = step * 30;
    await time.pass(50);
  }
  await time.pass(240);
  assert.deepEqual(told(node.events), ['PLAY 0']);
  await time.pass(60);
  assert.deepEqual(told(node.events), ['PLAY 0', 'SEEK 600']);
  assert.ok(node.events[1].version > EVENING * 1_024, 'a jump opens a place');
});

test('a scrub cut short by a pause is reported before it', async () => {
  const { video, node, time } = await playing();
  await video.watch(5);
  video.currentTime = 900;
  await time.pass(100);
  video.pause();
  await time.pass(0);
  assert.deepEqual(told(node.events), ['PLAY 0', 'SEEK 900', 'PAUSE 900']);
});

test('a title resumes where it was left, and that is no report of the viewer', async () => {
  const { video, node } = await playing({ shown: progress('film', { version: 7, position_ms: 1_200_000 }) });
  assert.equal(video.currentTime, 1_200);
  await video.watch(10);
  assert.deepEqual(told(node.events), ['PLAY 1200', 'HEARTBEAT 1210']);
  assert.ok(node.events.every(({ version }) => version === 7), 'it goes on in the place that it resumed');
});

test('an element without metadata resumes when it has them', async () => {
  const page = new Page();
  page.node.shown.set('film', progress('film', { position_ms: 60_000 }));
  const video = new Video(page.time, { ready: 0 });
  const { ready } = page.sync.attach(video, { titleId: 'film' });
  await page.time.pass(100);
  assert.equal((await ready).position_ms, 60_000);
  assert.equal(video.currentTime, 0);
  video.readyState = 1;
  video.say('loadedmetadata');
  assert.equal(video.currentTime, 60);
});

test('a viewer who moved before the answer came is not moved again', async () => {
  const page = new Page();
  page.node.shown.set('film', progress('film', { position_ms: 60_000 }));
  const video = new Video(page.time);
  page.node.silent = true;
  page.sync.attach(video, { titleId: 'film' });
  await page.time.pass(100);
  video.currentTime = 2_000;
  await page.time.pass(2_000);
  assert.equal(video.currentTime, 2_000);
});

test('a completed title starts at its beginning, and watched again opens a place', async () => {
  const shown = progress('film', { position_ms: 5_400_000, completed: true, duration_ms: 5_400_000, at_ms: EVENING - 1e8 });
  const { video, node } = await playing({ shown });
  assert.equal(video.currentTime, 0);
  await video.watch(20);
  const [play, first, second] = node.events;
  assert.equal(play.version, 0);
  assert.ok(first.version > EVENING * 1_024);
  assert.equal(second.version, first.version);
});

test('start over opens a place, and the seek to the start is not reported beside it', async () => {
  const { video, attachment, node, time } = await playing({ shown: progress('film', { position_ms: 1_200_000 }) });
  await video.watch(5);
  await attachment.restart();
  await time.pass(1_000);
  assert.deepEqual(told(node.events), ['PLAY 1200', 'PLAY 0']);
  assert.equal(node.events[1].restart, true);
  assert.ok(node.events[1].version > EVENING * 1_024);
});

test('start over counts while it is still asked where to resume', async () => {
  const page = new Page();
  page.node.shown.set('film', progress('film', { version: 7, position_ms: 1_200_000 }));
  const { fetch } = page.node;
  page.node.fetch = (path, ...more) => new Promise((answer) => page.time.setTimeout(() => answer(fetch(path, ...more)), path.includes('/titles/') ? 500 : 0));
  const video = new Video(page.time);
  const attachment = page.sync.attach(video, { titleId: 'film' });
  attachment.restart();
  await video.watch(60);
  video.pause();
  await page.time.pass(100);
  assert.deepEqual(told(page.node.events).filter((report) => !report.startsWith('HEARTBEAT')), ['PLAY 0', 'PAUSE 60']);
  assert.ok(page.node.events.every(({ version }) => version >= EVENING * 1_024), 'in a place of its own');
  assert.equal(page.sync.view('film').position_ms, 60_000);
  video.currentTime = 0;
  await page.time.pass(1_000);
  assert.equal(video.currentTime, 0, 'nor is its viewer put back to where it was once to be resumed');
});

test('a seek that still rests when the page is hidden or goes is reported before', async () => {
  for (const leaves of ['hide', 'close']) {
    for (const paused of [false, true]) {
      const { page, video, node, time } = await playing();
      await video.watch(100);
      if (paused) video.pause();
      await time.pass(1_000);
      node.batches.length = 0;
      video.currentTime = 3_000;
      await time.pass(100);
      page[leaves]();
      await time.pass(0);
      assert.deepEqual(told(node.events), ['SEEK 3000', ...(paused || leaves === 'hide' ? [] : ['STOP 3000'])], leaves);
      assert.ok(node.events.every(({ version }) => version > EVENING * 1_024));
    }
  }
});

test('a step back is remembered until it has been passed again', async () => {
  const { video, node, time } = await playing({ shown: progress('film', { position_ms: 1_200_000 }) });
  await video.watch(1);
  video.currentTime = 1_191;
  await time.pass(400);
  video.pause();
  await time.pass(0);
  assert.deepEqual(told(node.events), ['PLAY 1200', 'SEEK 1191', 'PAUSE 1191']);
  assert.ok(node.events[2].stepped_back && node.events[2].version === 0);
});

test('pagehide and visibilitychange together save once', async () => {
  for (const order of [['pagehide', 'hide'], ['hide', 'pagehide']]) {
    const { page, video, node } = await playing();
    await video.watch(4);
    node.requests.length = 0;
    for (const what of order) what === 'hide' ? page.hide() : page.window.dispatchEvent(new Event('pagehide'));
    await page.time.pass(0);
    const saves = node.requests.filter(({ path }) => path === '/v1/events');
    assert.equal(saves.length, 1, order.join());
    assert.equal(saves[0].keepalive, true);
    assert.deepEqual(told(JSON.parse(saves[0].body).events), [order[0] === 'hide' ? 'HEARTBEAT 4' : 'STOP 4']);
  }
});

test('a page that goes shows its token in the body, which needs no leave of another origin', async () => {
  const { page, video, node } = await playing({ options: { token: async () => 'secret' } });
  await video.watch(4);
  node.requests.length = 0;
  page.close();
  const [save] = node.requests;
  assert.equal(JSON.parse(save.body).token, 'secret');
  assert.deepEqual(save.headers, {});
});

test('what a page saves as it goes fits into 64 KiB, and holds the last', async () => {
  const { page, video, node } = await playing();
  node.cutOff();
  const long = 'x'.repeat(100);
  for (let i = 0; i < 900; i++) page.sync.report({ kind: 'PAUSE', titleId: `${long}${i}`, positionMs: 1_000 + i });
  await video.watch(4);
  node.cut = false;
  node.requests.length = 0;
  page.close();
  const [save] = node.requests;
  assert.ok(Buffer.byteLength(save.body) <= 65_536);
  assert.equal(told(JSON.parse(save.body).events).at(-1), 'STOP 4');
});

test('to save energy three heartbeats go in one request, and a pause takes them along', async () => {
  const { video, node, time } = await playing({ options: { saveEnergy: true } });
  await video.watch(65);
  assert.deepEqual(node.batches.map(({ events }) => events.length), [1, 3, 3]);
  await video.watch(10);
  video.pause();
  await time.pass(0);
  assert.deepEqual(told(node.batches.at(-1).events), ['HEARTBEAT 70', 'PAUSE 75']);
});

test('another device is followed while nothing plays here', async () => {
  const { video, node, time } = await playing();
  await video.watch(5);
  const elsewhere = (position_ms) => node.push({ type: 'progress', ...progress('film', { version: 9, position_ms, at_ms: node.now }) });
  elsewhere(900_000);
  await time.pass(0);
  assert.equal(video.currentTime, 5, 'not while it plays');
  video.pause();
  await time.pass(5_000);
  elsewhere(910_000);
  await time.pass(1_000);
  assert.equal(video.currentTime, 910);
  await video.play();
  await video.watch(10);
  assert.deepEqual(told(node.events), ['PLAY 0', 'PAUSE 5', 'PLAY 910', 'HEARTBEAT 920']);
  assert.equal(node.events.at(-1).version, 9, 'it goes on in the place of the other device');
});

test('asked to, it follows while it plays too; told not to, never', async () => {
  const { video, attachment, node, time } = await playing();
  await video.watch(5);
  node.push({ type: 'progress', ...progress('film', { version: 9, position_ms: 900_000, at_ms: node.now }) });
  attachment.follow();
  await time.pass(0);
  assert.equal(video.currentTime, 900);
  const never = await playing({ attach: { follow: false } });
  never.video.pause();
  await never.time.pass(5_000);
  never.node.push({ type: 'progress', ...progress('film', { version: 9, position_ms: 900_000, at_ms: never.node.now }) });
  await never.time.pass(0);
  assert.equal(never.video.currentTime, 0);
});

test('a hidden page moves nothing until it is seen again', async () => {
  const { page, video, node, time } = await playing();
  video.pause();
  await time.pass(1_000);
  page.hide();
  node.push({ type: 'progress', ...progress('film', { version: 9, position_ms: 900_000, at_ms: node.now }) });
  await time.pass(1_000);
  assert.equal(video.currentTime, 0);
  page.show();
  await time.pass(1_000);
  assert.equal(video.currentTime, 900);
});

test('seen again, a page moves nothing if nobody moved anything meanwhile', async () => {
  const glance = async ({ page, time }) => {
    page.hide();
    await time.pass(3_000);
    page.show();
    page.window.dispatchEvent(new Event('online'));
    await time.pass(1_000);
  };
  const opened = async (attach, shown) => {
    const page = new Page();
    page.node.shown.set('film', progress('film', shown));
    await Promise.all([page.sync.resume('film'), page.time.pass(1_000)]);
    const video = new Video(page.time);
    page.sync.attach(video, { titleId: 'film', ...attach });
    await page.time.pass(1_000);
    await glance({ page, time: page.time });
    return video.currentTime;
  };
  assert.equal(await opened({}, { version: 5, position_ms: 5_390_000, completed: true }), 0, 'a completed film stands at its beginning');
  assert.equal(await opened({ resume: false }, { version: 5, position_ms: 2_000_000 }), 0, 'nor what was not to resume');
  const { page, video, node, time } = await playing();
  video.currentTime = 1_800;
  await video.watch(30);
  for (let tap = 0; tap < 10; tap++) {
    video.currentTime -= 30;
    await video.watch(1);
  }
  video.pause();
  await time.pass(1_000);
  const stood = video.currentTime;
  await glance({ page, time });
  assert.equal(video.currentTime, stood, 'taps are no leap, and stay');
  page.hide();
  node.push({ type: 'progress', ...progress('film', { version: EVENING * 2_048, position_ms: 900_000, at_ms: node.now }) });
  await time.pass(1_000);
  page.show();
  await time.pass(1_000);
  assert.equal(video.currentTime, 900);
  video.currentTime = 890;
  await time.pass(1_000);
  await glance({ page, time });
  assert.equal(video.currentTime, 890, 'what was followed once is not followed again');
});

test('another source in the element is not taken for the title', async () => {
  const { video, node, time } = await playing();
  await video.watch(5);
  await video.load(60);
  await video.play();
  await video.watch(20);
  await time.pass(0);
  assert.deepEqual(told(node.events), ['PLAY 0', 'STOP 5']);
});

test('nor is it after a pause, or after the end', async () => {
  for (const [seconds, expected] of [[5, ['PLAY 0', 'PAUSE 5', 'STOP 5']], [101, ['PLAY 0', 'END 100', 'STOP 100']]]) {
    const { video, node } = await playing({ duration: 100 });
    await video.watch(seconds);
    video.pause();
    await video.load(2_000);
    await video.play();
    await video.watch(20);
    video.currentTime = 1_000;
    await video.watch(20);
    assert.deepEqual(told(node.events).filter((report) => !report.startsWith('HEARTBEAT')), expected.slice(0, 2));
  }
});

test('the same source set anew is the title, however often', async () => {
  const { video, node } = await playing();
  await video.watch(600);
  for (let time = 0; time < 3; time++) {
    const stood = video.currentTime;
    await video.load();
    await video.load();
    video.currentTime = stood;
    await video.play();
    await video.watch(60);
  }
  assert.deepEqual(told(node.events).filter((report) => /PLAY|STOP/.test(report)), ['PLAY 0', 'STOP 600', 'PLAY 600', 'STOP 660', 'PLAY 660', 'STOP 720', 'PLAY 720']);
  const beats = node.events.filter(({ kind }) => kind === 'HEARTBEAT').map(({ position_ms }) => position_ms);
  assert.ok(beats.length >= 60 + 3 * 5 && beats.at(-1) >= 770_000, `${beats.slice(-20)}`);
});

test('nor is where another source begins taken for where the viewer went', async () => {
  for (const played of [true, false]) {
    const { video, node, time } = await playing();
    await video.watch(600);
    if (!played) video.pause();
    video.currentTime = 2_000;
    await time.pass(100);
    await video.load(60);
    await time.pass(1_000);
    assert.deepEqual(told(node.events).filter((report) => /SEEK|STOP/.test(report)), ['SEEK 2000', ...(played ? ['STOP 2000'] : [])]);
  }
});

test('detached and attached to the next title, each gets its own', async () => {
  const { page, video, node, time } = await playing();
  await video.watch(5);
  page.sync.attach(video, { titleId: 'next', resume: false });
  await video.watch(12);
  await time.pass(0);
  assert.deepEqual(node.events.map(({ title_id, kind }) => `${title_id} ${kind}`), ['film PLAY', 'film STOP', 'next PLAY', 'next HEARTBEAT']);
});

/** A page whose node knows where two titles are, and takes half a second to say so. */
async function asking() {
  const page = new Page();
  const { time, node } = page;
  const { fetch } = node;
  node.fetch = (path, ...more) => new Promise((answer) => time.setTimeout(() => answer(fetch(path, ...more)), path.includes('/titles/') ? 500 : 0));
  node.shown.set('film', progress('film', { position_ms: 1_000_000, version: 3 }));
  node.shown.set('next', progress('next', { position_ms: 60_000, version: 5 }));
  const video = new Video(time);
  await time.pass(1_000);
  page.sync.attach(video, { titleId: 'film' });
  await time.pass(200);
  return { page, video, node, time };
}

test('a title that was zapped away before it was known where it is resumed moves nothing and reports nothing', async () => {
  const { page, video, node, time } = await asking();
  page.sync.attach(video, { titleId: 'next' });
  await video.play();
  await time.pass(350);
  assert.equal(video.currentTime, 0, 'the answer about the film is none of the next one');
  await time.pass(5_000);
  assert.equal(video.currentTime, 60);
  assert.deepEqual(node.events.map(({ title_id, kind, position_ms }) => [title_id, kind, position_ms]), [['next', 'PLAY', 60_000]]);
});

test('nor does an object that was closed meanwhile', async () => {
  const { page, video, node, time } = await asking();
  page.sync.close();
  await video.play();
  await time.pass(5_000);
  assert.equal(video.currentTime, 0);
  assert.deepEqual(node.events, []);
});

test('what needs a title, a kind and a position says so', () => {
  const page = new Page();
  for (const wrong of [{}, { kind: 'PAUSE', titleId: 'x' }, { kind: 'JUMP', titleId: 'x', positionMs: 1 }, { kind: 'PAUSE', titleId: 'x', positionMs: NaN }]) {
    assert.throws(() => page.sync.report(wrong), TypeError);
  }
  assert.equal(page.sync.report({ kind: 'PAUSE', title_id: 'x', position_ms: 5_000 }).position_ms, 5_000, 'by the names of the HTTP API too');
});

test('a player that goes to its own start before it plays is put back, and its move is no report', async () => {
  const page = new Page();
  page.node.shown.set('film', progress('film', { position_ms: 60_000 }));
  const video = new Video(page.time);
  page.sync.attach(video, { titleId: 'film' });
  await page.time.pass(100);
  video.currentTime = 0;
  await page.time.pass(100);
  assert.equal(video.currentTime, 60);
  // Shaka does so once more, a moment later.
  video.currentTime = 0;
  await page.time.pass(900);
  assert.equal(video.currentTime, 60);
  await page.time.pass(100);
  video.currentTime = 0;
  await page.time.pass(1_000);
  assert.equal(video.currentTime, 0, 'after a second it is the viewer');
  assert.deepEqual(told(page.node.events), ['SEEK 0']);
  const fresh = new Video(page.time);
  page.sync.attach(fresh, { titleId: 'unseen' });
  await page.time.pass(100);
  fresh.currentTime = 0;
  await page.time.pass(1_000);
  assert.equal(page.node.events.filter(({ title_id }) => title_id === 'unseen').length, 0);
});

test('a viewer who goes to the beginning before playing stays there', async () => {
  for (const ready of [4, 0]) {
    const page = new Page();
    page.node.shown.set('film', progress('film', { position_ms: 2_400_000 }));
    const video = new Video(page.time, { ready });
    page.sync.attach(video, { titleId: 'film' });
    await page.time.pass(5_000);
    video.readyState = 4;
    video.say('loadedmetadata');
    await page.time.pass(2_000);
    assert.equal(video.currentTime, 2_400);
    video.currentTime = 0;
    await page.time.pass(2_000);
    assert.equal(video.currentTime, 0);
    assert.deepEqual(told(page.node.events), ['SEEK 0']);
  }
});

test('one that insists on its start is let go there', async () => {
  const page = new Page();
  page.node.shown.set('film', progress('film', { position_ms: 60_000 }));
  const video = new Video(page.time);
  page.sync.attach(video, { titleId: 'film' });
  video.addEventListener('seeked', () => { if (video.at > 1) video.currentTime = 0; });
  await page.time.pass(5_000);
  assert.equal(video.currentTime, 0);
  assert.ok(video.seeks < 30, `${video.seeks}`);
});

test('nor is it where being put back takes seconds', async () => {
  const page = new Page();
  page.node.shown.set('film', progress('film', { position_ms: 60_000 }));
  const video = new Video(page.time);
  page.sync.attach(video, { titleId: 'film' });
  await page.time.pass(100);
  Object.defineProperty(video, 'currentTime', { get() { return this.at; }, set(seconds) { Object.assign(this, { at: seconds, seeking: true }); this.say('seeking'); } });
  video.currentTime = 0;
  assert.equal(video.at, 60);
  await page.time.pass(5_000);
  video.currentTime = 0;
  assert.equal(video.at, 60, 'it is not there yet: it was the player');
  video.seeking = false;
  video.say('seeked');
  await page.time.pass(1_500);
  assert.deepEqual(told(page.node.events), []);
  video.currentTime = 0;
  assert.equal(video.at, 0, 'a second after it is there it is the viewer');
});

test('nor is a viewer followed away who seeks while another device is heard of', async () => {
  const { video, node, time } = await playing();
  video.pause();
  await time.pass(1_000);
  Object.assign(video, { at: 2_000, seeking: true });
  video.say('seeking');
  node.push({ type: 'progress', ...progress('film', { version: 9, position_ms: 900_000, at_ms: node.now }) });
  await time.pass(1_000);
  assert.equal(video.at, 2_000);
  video.seeking = false;
  video.say('seeked');
  await time.pass(1_000);
  assert.equal(told(node.events).at(-1), 'SEEK 2000');
});

test('moved twice in a row by others, a player that says so twice has not been moved by its viewer', async () => {
  const { video, attachment, node, time } = await playing();
  video.pause();
  await time.pass(1_000);
  attachment.follow(progress('film', { version: 9, position_ms: 900_000 }));
  // The first move is told when the second has begun: so it is under load.
  attachment.follow(progress('film', { version: 9, position_ms: 950_000 }));
  video.say('seeked');
  await time.pass(1_000);
  assert.equal(video.currentTime, 950);
  assert.deepEqual(told(node.events), ['PLAY 0', 'PAUSE 0']);
});

test('a player that pauses and moves in one go is paused where it was, and then jumps', async () => {
  const { video, node, time } = await playing();
  await video.watch(5);
  // By the time of the event the element already says where it goes: video.js does so when its bar is grabbed.
  video.currentTime = 2_000;
  video.pause();
  await time.pass(400);
  assert.deepEqual(told(node.events), ['PLAY 0', 'PAUSE 5', 'SEEK 2000']);
  assert.ok(node.events[2].version > EVENING * 1_024);
});
