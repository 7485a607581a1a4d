// What viewers complain about elsewhere, and what must be true here: each told with a real browser, a real video and real nodes.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { settled, shown } from './demo.mjs';
import { arrival, eventually, keyring, leftAt, noteArrivals, noteLeaving, parts, ROOT, startBrowser, startNode, startSite, withinASecond } from './support.mjs';

const FOLDERS = [path.join(ROOT, 'tests/browser/pages'), path.join(ROOT, 'src/gateway/web/page')];
const DURATION_MS = 300_000;

const node = await startNode();
const site = await startSite({ node, folders: FOLDERS });
const browser = await startBrowser();
let titles = 0;

/** A title of its own for each story. */
const title = () => `film-${(titles += 1)}`;

async function player(from, query, where = site) {
  const page = await from.page(`${where.url}/player.html?${new URLSearchParams(query)}`);
  await eventually('the player is ready', () => page.evaluate(() => globalThis.ready && document.querySelector('video').readyState >= 2));
  return page;
}

const play = (page) => page.$eval('video', (video) => video.play());
const pause = (page) => page.$eval('video', (video) => video.pause());
const seek = (page, second) => page.$eval('video', (video, at) => { video.currentTime = at; }, second);
const at = async (page) => (await shown(page, 'video')).at;
const plays = (page, until) => eventually(`it plays to ${until}`, async () => (await at(page)) >= until);
const kept = (name, profile = 'ann') => node.progress(profile, name);
const event = (name, device, kind, position_ms, more) => ({ profile_id: 'ann', title_id: name, device_id: device, kind, position_ms, duration_ms: DURATION_MS, ...more });

test('a pause on one screen is resumed on another at the same second of the picture', async () => {
  const name = title();
  const tv = await player(browser, { title: name, device: 'tv' });
  const laptop = await player(browser, { title: name, device: 'laptop' });
  await seek(tv, 130);
  await play(tv);
  await plays(tv, 131.5);
  await pause(tv);
  const paused = await settled(tv, 'video');
  await eventually('the laptop went along', async () => (await shown(laptop, 'video')).second === paused.second);
  const late = await player(browser, { title: name, device: 'phone' });
  await eventually('also one that is opened later', async () => (await settled(late, 'video')).second === paused.second);
  for (const page of [tv, laptop, late]) assert.deepEqual(page.problems, []);
});

test('H: a tab that is closed in mid-playback loses nothing', async () => {
  const name = title();
  const page = await player(browser, { title: name, device: 'tv' });
  await play(page);
  await plays(page, 3);
  const last = await at(page);
  await noteLeaving(page);
  await page.close({ runBeforeUnload: false });
  const left = await leftAt(browser, site.url);
  const { position_ms, state } = await eventually('the position is kept', async () => {
    const progress = await kept(name);
    return progress.position_ms >= last * 1000 - 50 ? progress : null;
  });
  assert.ok(position_ms < left * 1000 + 50, `${position_ms}, left at ${left}`);
  assert.notEqual(state, 'playing');
});

test('H: a browser that is killed without warning loses at most one heartbeat interval', async () => {
  const name = title();
  const own = await startBrowser();
  const page = await player(own, { title: name, device: 'tv' });
  await page.$eval('video', (video) => {
    // A heartbeat goes out with the first of these when its time has come: how far they are apart is the browser's own.
    globalThis.gap = 0;
    globalThis.updated = performance.now();
    video.addEventListener('timeupdate', () => {
      globalThis.gap = Math.max(globalThis.gap, performance.now() - globalThis.updated);
      globalThis.updated = performance.now();
    });
  });
  await play(page);
  await plays(page, 13);
  const last = await eventually('what was reported is kept', () => page.$eval('video', ({ currentTime }) => {
    const now = performance.now();
    return globalThis.sync._queue.length === 0 && { at: currentTime, since: now - globalThis.attached.reported, gap: Math.max(globalThis.gap, now - globalThis.updated) };
  }));
  await own.kill();
  const { position_ms } = await kept(name);
  assert.ok(last.since < 10_000 + last.gap + 50, `the last report was ${last.since} ms ago, with ${last.gap} ms between looks`);
  assert.ok(position_ms > last.at * 1000 - last.since - 500, `${position_ms}: ${JSON.stringify(last)}`);
});

test('H: others see a change within a second', async () => {
  const name = title();
  const own = await startSite({ node, folders: FOLDERS });
  const page = await player(browser, { title: name, device: 'tv' }, own);
  await eventually('it is connected', () => page.evaluate(() => globalThis.sync._link.mode === 'websocket'));
  await noteArrivals(page);
  await withinASecond({
    alone: (round) => parts(page, { ask: '/v1/profiles/nobody/titles', film: '/night-train.webm', second: 30 + 50 * round }),
    follow: async (round) => {
      const second = [200, 60, 140, 20, 260][round];
      const [asked, begun] = [own.requests.length, Date.now()];
      await node.record(event(name, 'phone', 'SEEK', second * 1_000));
      const took = (await arrival(page, second, begun)) - begun;
      assert.deepEqual(own.requests.slice(asked), [], 'it was told: the page asked for nothing');
      assert.equal((await settled(page, 'video')).second, second);
      return took;
    },
  });
});

test('B: what was watched offline survives the end of the browser and goes out with its age', async () => {
  const name = title();
  const own = await startBrowser();
  const page = await player(own, { title: name, device: 'tablet' });
  await play(page);
  await plays(page, 1);
  site.cut();
  try {
    await seek(page, 120);
    await plays(page, 122);
    await pause(page);
    const { at: last } = await settled(page, 'video');
    assert.ok((await kept(name)).position_ms < 100_000, 'the node knows nothing of it');
    await own.quit();
    site.heal();
    // Meanwhile somebody watched elsewhere, and less far.
    await node.record(event(name, 'tv', 'PAUSE', 30_000));
    const again = await startBrowser({ profile: own.profile });
    await player(again, { title: name, device: 'tablet' });
    const progress = await eventually('the jump of the train arrives', async () => {
      const now = await kept(name);
      return Math.abs(now.position_ms - last * 1000) < 500 ? now : null;
    });
    assert.ok(progress.places.some((place) => place.position_ms === 30_000), 'and what was watched elsewhere is the way back');
  } finally {
    site.heal();
  }
});

test('A: an idle tab that wakes does not write its old position over the newer one', async () => {
  const name = title();
  const idle = await player(browser, { title: name, device: 'tv', follow: 'no' });
  await play(idle);
  await plays(idle, 2);
  await pause(idle);
  await eventually('it is kept', async () => (await kept(name)).state === 'paused');
  await node.record(event(name, 'phone', 'SEEK', 180_000), event(name, 'phone', 'PAUSE', 181_000));
  const before = await kept(name);
  // To the background and back, as a laptop's lid does; then it is touched, and closed.
  const other = await browser.page(`${site.url}/blank.html`);
  await other.bringToFront();
  await idle.bringToFront();
  await pause(idle);
  await play(idle);
  await plays(idle, 4);
  await pause(idle);
  await idle.close({ runBeforeUnload: false });
  const fresh = await player(browser, { title: name, device: 'laptop' });
  await eventually('the phone decided', async () => (await settled(fresh, 'video')).second === 181);
  const after = await kept(name);
  assert.deepEqual([after.version, after.position_ms], [before.version, before.position_ms]);
});

test('D: a failed start that reports 0 changes nothing', async () => {
  const name = title();
  await node.record(event(name, 'phone', 'PLAY', 0), event(name, 'phone', 'SEEK', 150_000), event(name, 'phone', 'PAUSE', 152_000));
  const before = await kept(name);
  const broken = await player(browser, { title: name, device: 'tv', resume: 'no', follow: 'no' });
  await play(broken);
  await eventually('it began at 0', async () => (await at(broken)) > 0.2);
  await pause(broken);
  await broken.close({ runBeforeUnload: false });
  const after = await kept(name);
  assert.deepEqual([after.version, after.position_ms], [before.version, before.position_ms]);
});

test('a rewatch begins at 0 and stays', async () => {
  const name = title();
  await node.record(event(name, 'phone', 'PLAY', 280_000), event(name, 'phone', 'END', DURATION_MS));
  assert.equal((await kept(name)).completed, true);
  const page = await player(browser, { title: name, device: 'tv' });
  assert.ok((await at(page)) < 1, 'a finished film starts at its beginning');
  await play(page);
  await plays(page, 2);
  await pause(page);
  const progress = await eventually('the rewatch counts', async () => {
    const now = await kept(name);
    return now.position_ms < 100_000 ? now : null;
  });
  assert.equal(progress.completed, false);
  assert.equal(progress.furthest_ms, DURATION_MS);
});

test('G: a device that switches profiles in mid-playback leaks nothing', async () => {
  const name = title();
  const page = await player(browser, { title: name, device: 'tv', profile: 'ann' });
  await seek(page, 100);
  await play(page);
  await plays(page, 101.5);
  await page.evaluate(async (titleId) => {
    const video = document.querySelector('video');
    // The film plays on as it is, and nobody says goodbye.
    globalThis.sync = new globalThis.Leftoff({ url: location.origin, deviceId: 'tv', profileId: 'ben' });
    globalThis.attached = globalThis.sync.attach(video, { titleId });
    await globalThis.attached.ready;
  }, name);
  await play(page);
  await plays(page, 1.5);
  await pause(page);
  await eventually("ben's is kept", async () => (await kept(name, 'ben')).state === 'paused');
  const [ann, ben] = [await kept(name, 'ann'), await kept(name, 'ben')];
  assert.ok(ann.position_ms > 100_000 && ann.position_ms < 200_000, JSON.stringify(ann));
  assert.ok(ben.places[0].position_ms < 90_000, JSON.stringify(ben));
  const list = await node.get('/v1/profiles/ben/titles');
  assert.deepEqual(list.body.items.map((item) => item.title_id), [name], 'nothing of ann came along');
});

test('G: a token for one profile sees nothing of another, by no request', async () => {
  const { settings, sign: token } = keyring();
  const closed = await startNode({ settings });
  const front = await startSite({ node: closed, folders: FOLDERS });
  const bens = token('ben');
  const answer = await fetch(`${closed.url}/v1/events`, {
    method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${bens}` },
    body: JSON.stringify({ events: [{ profile_id: 'ben', title_id: 'secret', device_id: 'tv', kind: 'PAUSE', position_ms: 77_000 }] }),
  });
  assert.equal(answer.status, 200);
  const page = await browser.page(`${front.url}/blank.html`);
  const tried = await page.evaluate(async (anns) => {
    const ask = async (method, where, body) => {
      const response = await fetch(where, { method, headers: { authorization: `Bearer ${anns}`, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body) });
      const text = (await response.text()).replace(/"request_id":"[^"]*"/, '');
      return { status: response.status, text };
    };
    const found = {};
    for (const profile of ['ben', 'nobody']) {
      const event = { profile_id: profile, title_id: 'secret', device_id: 'x', kind: 'HEARTBEAT', position_ms: 1_000 };
      const own = `/v1/profiles/${profile}`;
      const answers = [
        await ask('GET', `${own}/titles/secret`), await ask('GET', `${own}/titles`), await ask('GET', `${own}/continue-watching`),
        await ask('GET', `${own}/changes?wait=0`), await ask('POST', `${own}/titles/secret/hide`), await ask('DELETE', own),
        await ask('POST', '/v1/events', { events: [event] }), await ask('POST', '/v1/events?return=progress', { events: [event] }),
        await ask('POST', '/v1/parties', { profile_id: profile, device_id: 'x', title_id: 'secret' }),
        await ask('POST', '/v1/sessions', { profile_id: profile, device_id: 'x', title_id: 'secret' }),
        await ask('POST', '/v1/events', { events: [{ ...event, profile_id: 'ann', title_id: 'own' }, event] }),
      ];
      const said = await new Promise((resolve) => {
        const messages = [];
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/v1/ws`, 'leftoff.v1');
        socket.onopen = () => socket.send(JSON.stringify({ type: 'hello', token: anns, device_id: 'x', profiles: ['ann', profile] }));
        socket.onmessage = ({ data }) => messages.push(data);
        socket.onclose = ({ code }) => resolve([...messages, code]);
      });
      found[profile] = { answers, said };
    }
    return found;
  }, token('ann'));
  for (const [index, { status, text }] of tried.ben.answers.slice(0, -1).entries()) assert.equal(status, 403, `${index}: ${text}`);
  assert.ok(!JSON.stringify(tried.ben).includes('77000'), 'nothing of it is told');
  const told = (profile) => JSON.stringify(tried[profile]).replaceAll(profile, '*').replaceAll(/\d{13,}/g, '0');
  assert.equal(told('ben'), told('nobody'), 'a profile that exists and one that does not are answered alike');
  const still = await fetch(`${closed.url}/v1/profiles/ben/titles/secret`, { headers: { authorization: `Bearer ${bens}` } });
  const { position_ms, places } = await still.json();
  assert.deepEqual([position_ms, places.length], [77_000, 1], 'nor changed');
});

test('a page of another origin cannot open the socket, nor read, nor send', async () => {
  const foreign = await startBrowser({ args: ['--host-resolver-rules=MAP evil.example 127.0.0.1'] });
  const { port } = new URL(site.url);
  const page = await foreign.page(`http://evil.example:${port}/blank.html`);
  const tried = (from) => from.evaluate(async (url) => {
    const socket = await new Promise((resolve) => {
      const own = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, 'leftoff.v1');
      own.onopen = () => resolve('open');
      own.onclose = () => resolve('refused');
    });
    const read = await fetch(`${url}/v1/profiles/ann/titles`).then((answer) => answer.status, () => 'refused');
    const sent = await fetch(`${url}/v1/events`, {
      method: 'POST', mode: 'no-cors', headers: { 'content-type': 'text/plain' },
      body: JSON.stringify({ events: [{ profile_id: 'eve', title_id: 'film', device_id: 'x', kind: 'PAUSE', position_ms: 1_000 }] }),
    }).then(() => 'sent', () => 'refused');
    return { socket, read, sent };
  }, node.url);
  const { socket, read } = await tried(page);
  assert.deepEqual([socket, read], ['refused', 'refused']);
  assert.equal((await kept('film', 'eve')).started, false, 'and what it sent unasked was not taken');
  const own = await browser.page(`${site.url}/blank.html`);
  assert.equal((await tried(own)).socket, 'open', 'a page of this machine is let in');
});
