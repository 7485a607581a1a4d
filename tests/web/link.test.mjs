// The line to a node: which, when again, and what is said on it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Page, Video, progress, told } from './fakes.mjs';

test('it says hello with the device, the profile and the token, and resumes where it was', async () => {
  const page = new Page({ options: { token: () => 'secret' } });
  await page.time.pass(100);
  const [socket] = page.node.sockets;
  assert.equal(socket.url, 'ws://node/v1/ws');
  assert.equal(socket.protocol, 'leftoff.v1');
  assert.deepEqual(socket.said[0], { type: 'hello', token: 'secret', device_id: 'laptop', profiles: ['ada'] });
  page.node.push({ type: 'progress', ...progress('film', { cursor: 'c17' }) });
  socket.end();
  await page.time.pass(30_000);
  assert.equal(page.node.sockets[1].said[0].since, 'c17');
});

test('it is tried again after waits that double up to 30 s, each by chance', async () => {
  const page = new Page({ options: { env: { random: () => 0.999 } } });
  page.node.cutOff();
  const waits = [];
  const { setTimeout } = page.time;
  page.sync.env.setTimeout = (act, wait, ...args) => {
    if (String(act).includes('connect')) waits.push(Math.round(wait));
    return setTimeout(act, wait, ...args);
  };
  await page.time.pass(300_000);
  assert.deepEqual(waits.slice(0, 6), [999, 1_998, 3_996, 7_992, 15_984, 29_970]);
  assert.ok(waits.slice(6).every((wait) => wait === 29_970));
});

test('a line that held for a minute is tried again at once, one that breaks sooner is not', async () => {
  const page = new Page({ options: { env: { random: () => 0.999 } } });
  await page.time.pass(10);
  page.sync._link.failures = 2;
  page.node.sockets[0].end();
  await page.time.pass(1);
  assert.equal(page.sync._link.failures, 3);
  page.sync._link.failures = 0;
  page.sync._link.restart();
  await page.time.pass(15_000);
  page.node.push({ type: 'pong' });
  await page.time.pass(50_000);
  page.sync._link.failures = 2;
  page.node.sockets.at(-1).end();
  await page.time.pass(1);
  assert.equal(page.sync._link.failures, 0);
});

test('where sockets do not get through it listens to server-sent events, and where those do not it polls', async () => {
  const page = new Page({ options: { env: { random: () => 0 } } });
  const states = [];
  const heard = [];
  page.sync.on('connection', ({ state }) => states.push(state));
  page.sync.on('progress', ({ position_ms }) => heard.push(position_ms));
  page.node.hears = false;
  const line = (object, id) => `event: progress\nid: ${id}\ndata: ${JSON.stringify(object)}\n\n`;
  let controller;
  page.node.sse = () => new ReadableStream({
    start(made) {
      controller = made;
      const text = `retry: 2000\nid: c1\n\n: here\n\n${line(progress('film', { position_ms: 5_000, cursor: 'c2' }), 'c2')}`;
      // In pieces that respect nothing.
      for (const piece of [text.slice(0, 40), text.slice(40, 41), text.slice(41)]) made.enqueue(new TextEncoder().encode(piece));
    },
  });
  await page.time.pass(5_000);
  assert.equal(states.at(-1), 'sse');
  assert.deepEqual(heard, [5_000]);
  page.sync.report({ kind: 'PAUSE', titleId: 'other', positionMs: 1_000 });
  await page.time.pass(100);
  assert.deepEqual(told(page.node.events), ['PAUSE 1'], 'reports go by request');
  const polls = [];
  page.node.sse = null;
  page.node.poll = (path) => {
    polls.push(path);
    if (polls.length > 1) return new Promise(() => {});
    return { items: polls.length === 1 ? [{ type: 'progress', ...progress('film', { position_ms: 9_000 }) }] : [], cursor: 'c9' };
  };
  page.sync._link.failures = 5;
  controller.close();
  await page.time.pass(10);
  assert.ok(polls[0].includes('wait=25&since=c2'), polls[0]);
  assert.ok(heard.includes(9_000));
  assert.ok(states.includes('poll'));
});

test('after an outage it comes back to a socket, although events get through as well', async () => {
  for (const random of [0.01, 0.5, 0.99]) {
    const page = new Page({ options: { env: { random: () => random } } });
    const asked = [];
    page.node.sse = () => (asked.push('sse'), new ReadableStream({}));
    page.node.poll = () => (asked.push('poll'), { items: [], cursor: 'c5' });
    await page.time.pass(100);
    page.node.cutOff();
    await page.time.pass(90_000);
    page.node.cutOff(false);
    await page.time.pass(35_000);
    assert.equal(page.sync._link.mode, 'websocket');
    assert.ok(asked.length <= 2, `${asked}`);
  }
});

test('where only sockets are kept out, one more is tried, and then events serve', async () => {
  const page = new Page({ options: { env: { random: () => 0.5 } } });
  let streams = 0;
  page.node.hears = false;
  page.node.sse = () => ((streams += 1), new ReadableStream({}));
  await page.time.pass(60_000);
  assert.equal(page.sync._link.mode, 'sse');
  assert.equal(page.node.sockets.length, 4);
  assert.equal(streams, 2);
  await page.time.pass(600_000);
  assert.equal(page.node.sockets.length, 4, 'and it stays with them');
});

test('a page that was put aside and comes back has no line and no lock meanwhile', async () => {
  const page = new Page();
  await page.time.pass(100);
  assert.equal(page.browser.held.size, 1);
  page.window.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: true }));
  page.hide();
  await page.time.pass(5_000);
  assert.equal(page.browser.held.size, 0);
  assert.ok(page.node.sockets.every(({ readyState }) => readyState === 3));
  page.document.visibilityState = 'visible';
  page.window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
  await page.time.pass(100);
  assert.equal(page.browser.held.size, 1);
  assert.equal(page.node.sockets.at(-1).readyState, 1);
});

test('a background tab that plays nothing goes quiet, and comes back at once', async () => {
  const page = new Page();
  const polls = [];
  page.node.poll = (path) => (polls.push(page.time.ms), { items: [], cursor: 'c5' });
  await page.time.pass(100);
  page.hide();
  await page.time.pass(10_000);
  assert.equal(page.node.sockets[0].readyState, 3);
  await page.time.pass(3_600_000);
  const gaps = polls.slice(1).map((time, index) => time - polls[index]);
  assert.ok(gaps[0] >= 15_000 && gaps.at(-1) >= 150_000 && polls.length < 40, `${gaps}`);
  page.show();
  await page.time.pass(10);
  assert.equal(page.node.sockets.at(-1).readyState, 1);
});

test('a background tab that plays stays in step', async () => {
  const page = new Page();
  const video = new Video(page.time);
  page.sync.attach(video, { titleId: 'film' });
  await page.time.pass(100);
  await video.play();
  page.hide();
  await video.watch(60);
  assert.equal(page.node.sockets[0].readyState, 1);
  assert.equal(told(page.node.events).at(-1), 'HEARTBEAT 60');
  video.pause();
  await page.time.pass(11_000);
  assert.equal(page.node.sockets[0].readyState, 3, 'until it stops');
});

test('a line that is silent although it was asked is given up', async () => {
  const page = new Page();
  await page.time.pass(100);
  const [socket] = page.node.sockets;
  await page.time.pass(100_000);
  assert.equal(socket.readyState, 1, 'one that answers is kept');
  socket.send = () => {};
  await page.time.pass(60_000);
  assert.equal(socket.readyState, 3);
  assert.equal(page.node.sockets.at(-1).readyState, 1);
});

test('an event stream and a poll that die without a word are given up, too', async () => {
  const page = new Page({ options: { env: { random: () => 0 } } });
  page.node.hears = false;
  const streams = [];
  // As of fetch: what was asked for ends with its signal, and only so.
  const ends = (signal, end) => signal.addEventListener('abort', () => end(signal.reason));
  page.node.sse = ({ signal }) => new ReadableStream({
    start(stream) {
      streams.push(stream);
      ends(signal, (reason) => stream.error(reason));
    },
  });
  await page.time.pass(1_000);
  const { length } = streams;
  for (let i = 0; i < 20; i++) {
    streams.at(-1).enqueue(new TextEncoder().encode(': here\n\n'));
    await page.time.pass(15_000);
  }
  await page.time.pass(24_000);
  assert.equal(streams.length, length, 'one on which something is said is kept, and one that is late');
  await page.time.pass(2_000);
  assert.equal(streams.length, length + 1);
  assert.equal(page.sync._link.mode, 'sse');
  page.node.sse = null;
  const polls = [];
  page.node.poll = () => new Promise((_, fail) => {
    polls.push(page.time.ms);
    ends(page.node.requests.at(-1).signal, fail);
  });
  page.sync._link.failures = 6;
  streams.at(-1).close();
  await page.time.pass(39_000);
  assert.equal(polls.length, 1);
  await page.time.pass(2_000);
  assert.equal(polls.length, 2);
});

test('a node that says bye is asked again no sooner than it says', async () => {
  const page = new Page({ options: { env: { random: () => 0 } } });
  const byes = [];
  page.sync.on('bye', ({ code }) => byes.push(code));
  await page.time.pass(100);
  page.node.push({ type: 'bye', code: 'restart', retry_after_ms: 7_000 });
  page.node.sockets[0].end();
  await page.time.pass(6_900);
  assert.equal(page.node.sockets.length, 1);
  await page.time.pass(200);
  assert.equal(page.node.sockets.length, 2);
  assert.deepEqual(byes, ['restart']);
});

test('a node that is full is asked again no sooner than it says', async () => {
  const page = new Page({ options: { live: false, env: { random: () => 0 } } });
  const { fetch } = page.node;
  const times = [];
  page.node.fetch = async (...args) => {
    times.push(page.time.ms);
    return times.length === 1 ? { ok: false, status: 503, json: async () => ({ code: 'overloaded', retry_after_ms: 5_000 }) } : fetch(...args);
  };
  page.sync.report({ kind: 'PAUSE', titleId: 'film', positionMs: 1_000 });
  await page.time.pass(4_900);
  assert.equal(times.length, 1);
  await page.time.pass(200);
  assert.deepEqual(told(page.node.events), ['PAUSE 1']);
});

test('nor, where no socket gets through, is it asked for changes sooner', async () => {
  for (const failures of [0, 6]) {
    const page = new Page({ options: { env: { WebSocket: undefined } } });
    page.sync._link.failures = failures;
    const { fetch } = page.node;
    const times = [];
    page.node.fetch = async (path, ...more) => {
      if (!path.includes('/changes')) return fetch(path, ...more);
      times.push(page.time.ms);
      return { ok: false, status: 503, json: async () => ({ code: 'overloaded', retry_after_ms: 20_000 }) };
    };
    await page.time.pass(100_000);
    assert.ok(times.length > 1 && times.every((time, i) => !i || time - times[i - 1] >= 20_000), `${times}`);
  }
});

test('a token goes with every request, and a new one opens the line anew', async () => {
  const page = new Page({ options: { token: 'one' } });
  await page.time.pass(100);
  await Promise.all([page.sync.resume('film'), page.time.pass(1_000)]);
  assert.equal(page.node.requests.at(-1).headers.authorization, 'Bearer one');
  page.sync.setToken(async () => 'two');
  await page.time.pass(10);
  assert.deepEqual(page.node.sockets.map(({ said }) => said[0].token), ['one', 'two']);
});

test('the node hears whether it plays', async () => {
  const page = new Page();
  const video = new Video(page.time);
  page.sync.attach(video, { titleId: 'film' });
  await page.time.pass(100);
  await video.play();
  await video.watch(25);
  video.pause();
  await page.time.pass(0);
  const states = page.node.sockets[0].said.filter(({ type }) => type === 'state');
  assert.deepEqual(states.map(({ state, title_id }) => [state, title_id]), [['paused', 'film'], ['playing', 'film'], ['paused', 'film']]);
});

test('closed, it is silent', async () => {
  const page = new Page();
  const video = new Video(page.time);
  page.sync.attach(video, { titleId: 'film' });
  await page.time.pass(100);
  await video.play();
  await video.watch(3);
  page.sync.close();
  await page.time.pass(10);
  assert.equal(told(page.node.events).at(-1), 'STOP 3');
  const count = page.node.requests.length + page.node.sockets.length;
  await video.play();
  await video.watch(60);
  page.hide();
  page.show();
  page.window.dispatchEvent(new Event('online'));
  await page.time.pass(600_000);
  assert.equal(page.node.requests.length + page.node.sockets.length, count);
  assert.equal(page.time.timers.size, 0);
});

for (const live of [true, false]) {
  test(`closed while a node owes it an answer, it says no more when that comes${live ? '' : ', without a line either'}`, async () => {
    let tokens = 0;
    const page = new Page({ options: { live, token: () => `token ${(tokens += 1)}` } });
    const { fetch } = page.node;
    const owed = [];
    page.node.fetch = (...request) => new Promise((answer) => owed.push(() => answer(fetch(...request))));
    // More than two bodies hold.
    for (let i = 0; i < 1_000; i++) page.sync.report({ kind: 'SEEK', titleId: `film ${i}`, positionMs: 1_000 });
    await page.time.pass(100);
    owed.shift()?.(); // What time it is.
    await page.time.pass(100);
    page.sync.close();
    for (const answer of owed.splice(0)) answer();
    await page.time.pass(100);
    const [asked, lines] = [tokens, page.node.sockets.length];
    // Nor whatever the page goes on to do with it.
    page.sync.report({ kind: 'PAUSE', titleId: 'film', positionMs: 2_000 });
    page.sync.setToken(() => `token ${(tokens += 1)}`);
    page.hide();
    page.sync.flush();
    await page.time.pass(600_000);
    assert.deepEqual([tokens, page.node.sockets.length, owed.length], [asked, lines, 0]);
  });
}
