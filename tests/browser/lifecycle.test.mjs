// leftoff.js through the life of real pages: closed, killed, offline, two at once, without sockets, in a party.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT, arrival, eventually, leftAt, noteArrivals, noteLeaving, parts, startBrowser, startNode, startSite, withinASecond } from './support.mjs';

const node = await startNode();
const folders = [path.join(ROOT, 'tests/browser/pages'), path.join(ROOT, 'src/gateway/web/page')];
const newSite = () => startSite({ node, folders, bundled: false });
const site = await newSite();
const browser = await startBrowser();
const HOUR_MS = 3_600_000;

async function open(title, { device = 'laptop', by = browser, at = site, context } = {}) {
  const page = await by.page(`${at.url}/plain.html?title=${encodeURIComponent(title)}&device=${device}`, { context });
  await eventually('the page is ready', () => page.evaluate(() => window.video?.readyState > 2 && 'resumed' in window));
  return page;
}

const seconds = (page) => page.evaluate(() => window.video.currentTime);
const playFor = async (page, s) => {
  const from = await seconds(page);
  await page.evaluate(() => window.video.play());
  await eventually('it plays on', async () => (await seconds(page)) >= from + s);
};
const from = (device, kind, position_ms, title) => ({ profile_id: 'ann', title_id: title, device_id: device, kind, position_ms });

test('a pause on one page is resumed on another within a second, at the same second', async () => {
  const tv = await open('handed over', { device: 'tv' });
  await playFor(tv, 2);
  const waiting = await open('handed over', { device: 'phone', context: await browser.device() });
  await noteArrivals(waiting);
  let stood;
  await withinASecond({
    alone: (round) => parts(waiting, { ask: '/v1/profiles/nobody/titles', film: '/night-train.webm', second: 2 + round }),
    follow: async () => {
      await playFor(tv, 1);
      const paused = await tv.evaluate(() => {
        window.video.pause();
        return { at: window.video.currentTime, when: Date.now() };
      });
      stood = paused.at;
      return (await arrival(waiting, stood, paused.when)) - paused.when;
    },
  });
  const later = await open('handed over', { device: 'laptop', context: await browser.device() });
  await eventually('one that is opened later is there too', async () => Math.abs((await seconds(later)) - stood) < 0.5);
  for (const page of [tv, waiting, later]) assert.deepEqual(page.problems, []);
});

test('a tab that is closed in mid-playback saves where it stood, once', async () => {
  const own = await newSite();
  const page = await open('closed', { at: own });
  await playFor(page, 3);
  const stood = await seconds(page);
  await noteLeaving(page);
  await page.close();
  const left = await leftAt(browser, own.url);
  const kept = await eventually('it is kept', async () => {
    const shown = await node.progress('ann', 'closed');
    return shown.state === 'stopped' && shown;
  });
  assert.ok(kept.position_ms >= stood * 1_000 - 100 && kept.position_ms < left * 1_000 + 50, `${kept.position_ms} after ${stood}, left at ${left}`);
  const saves = own.requests.filter(({ body }) => /STOP|HEARTBEAT/.test(body));
  assert.equal(saves.length, 1, JSON.stringify(saves));
});

test('what is watched offline outlives the browser and joins when the line is back', async () => {
  const own = await newSite();
  await node.record({ ...from('tv', 'PAUSE', 30_000, 'tunnel'), at_ms: Date.now() - HOUR_MS });
  const first = await startBrowser();
  const page = await open('tunnel', { by: first, at: own });
  await eventually('it resumes', async () => Math.abs((await seconds(page)) - 30) < 0.5);
  own.cut();
  await playFor(page, 1);
  await page.evaluate(() => { window.video.currentTime = 200; });
  await playFor(page, 1);
  await page.evaluate(() => window.video.pause());
  await eventually('it waits in IndexedDB', () => page.evaluate(async () => {
    const records = await window.sync._store.all('queue');
    return records.some(({ event }) => event.kind === 'PAUSE') && records.some(({ event }) => event.kind === 'SEEK');
  }));
  const stood = await seconds(page);
  await first.quit();
  assert.equal((await node.progress('ann', 'tunnel')).position_ms, 30_000);
  own.heal();
  const again = await startBrowser({ profile: first.profile });
  const back = await open('tunnel', { by: again, at: own });
  await eventually('its own memory is laid over what the node knows', async () => Math.abs((await seconds(back)) - stood) < 0.5);
  const joined = await eventually('the node has it', async () => {
    const shown = await node.progress('ann', 'tunnel');
    return Math.abs(shown.position_ms - stood * 1_000) < 300 && shown;
  });
  assert.equal(joined.places.length, 2);
  assert.deepEqual(back.problems, []);
});

test('a page without a node plays from the start, and nobody sees an error', async () => {
  const own = await newSite();
  own.silent();
  const page = await open('silent', { at: own, context: await browser.device() });
  assert.equal(await page.evaluate(() => window.resumed.position_ms), 0);
  // How long it waits: less than a timer of a second and a half that was set when it began.
  const first = await page.evaluate(() => Promise.race([
    new Promise((resolve) => setTimeout(resolve, 1_500, 'the timer')),
    window.sync.resume('another').then(() => 'the player'),
  ]));
  assert.equal(first, 'the player');
  await playFor(page, 1);
  assert.deepEqual(page.problems, []);
});

test('of two tabs of one device the one that the viewer touched last reports', async () => {
  const context = await browser.device();
  const one = await open('twice', { context });
  const two = await open('twice', { context });
  await one.bringToFront();
  await playFor(one, 1);
  await two.bringToFront();
  await playFor(two, 1);
  // Chromium may have paused the tab behind by itself.
  assert.ok(await one.evaluate(() => window.attachment.muted || window.video.paused));
  assert.ok(!await two.evaluate(() => window.attachment.muted));
  await one.evaluate(() => { window.video.currentTime = 250; });
  await eventually('the first speaks again', async () => (await node.progress('ann', 'twice')).position_ms >= 250_000);
});

test('a rewatch starts at the beginning and wins', async () => {
  await node.record({ ...from('tv', 'END', 300_000, 'again'), duration_ms: 300_000, at_ms: Date.now() - HOUR_MS });
  const page = await open('again');
  assert.ok((await seconds(page)) < 1);
  await page.evaluate(() => window.attachment.restart());
  await playFor(page, 1);
  await page.evaluate(() => window.video.pause());
  await eventually('the node has it near the beginning', async () => {
    const { position_ms, completed } = await node.progress('ann', 'again');
    return position_ms > 500 && position_ms < 100_000 && !completed;
  });
});

test('where no WebSocket gets through, changes come as server-sent events', async () => {
  const own = await newSite();
  own.withoutSockets();
  const page = await open('proxied', { at: own, context: await browser.device() });
  await eventually('it listens', () => page.evaluate(() => window.heard.connection.at(-1)?.state === 'sse'));
  await node.record(from('tv', 'PAUSE', 77_000, 'proxied'));
  await eventually('it hears of it', async () => Math.abs((await seconds(page)) - 77) < 0.5);
  await playFor(page, 1);
  await page.evaluate(() => window.video.pause());
  await eventually('and reports by request', async () => (await node.progress('ann', 'proxied')).device_id === 'laptop');
});

test('a node that is killed and comes back is found again, and nothing is lost', async () => {
  const folder = node.folder;
  assert.ok(folder);
  const own = await startNode();
  const front = await startSite({ node: own, folders, bundled: false });
  const page = await open('node gone', { at: front, context: await browser.device() });
  await eventually('it is connected', () => page.evaluate(() => window.heard.connection.at(-1)?.state === 'websocket' || window.sync._link.mode === 'websocket'));
  await own.kill();
  await playFor(page, 1);
  await page.evaluate(() => window.video.pause());
  const back = await startNode({ folder: own.folder });
  own.url = back.url;
  await eventually('it is all there', async () => (await back.progress('ann', 'node gone')).state === 'paused');
  assert.deepEqual(page.problems, []);
});

test('a party of three, with a seek from each, stays together', async () => {
  const pages = [];
  for (const device of ['one', 'two', 'three']) pages.push(await open('party', { device, context: await browser.device() }));
  for (const page of pages) await eventually('connected', () => page.evaluate(() => window.sync._link.mode === 'websocket'));
  const made = await pages[0].evaluate(() => window.sync.createParty({ title_id: 'party', control: 'everyone', playing: false }));
  assert.ok(made.id && made.invite);
  for (const page of pages) await page.evaluate((party) => void window.sync.joinParty(party, window.attachment), made);
  for (const page of pages) await eventually('all three are seen', () => page.evaluate(() => window.heard.party.some(({ viewers }) => viewers === 3)));
  await pages[0].evaluate(() => window.video.play());
  for (const page of pages) await eventually('all play', () => page.evaluate(() => !window.video.paused));
  for (const [index, target] of [[0, 150], [1, 10], [2, 200]]) {
    await pages[index].evaluate((to) => { window.video.currentTime = to; }, target);
    await eventually('all are there', async () => {
      // Asked one after the other, they are not seen at the same moment: each is counted on to the last.
      const seen = await Promise.all(pages.map((page) => page.evaluate(() => ({ at: window.video.currentTime, when: Date.now() }))));
      const last = Math.max(...seen.map(({ when }) => when));
      const at = seen.map((own) => own.at + (last - own.when) / 1_000);
      if (at.every((s) => s >= target && s < target + 100) && Math.max(...at) - Math.min(...at) < 3) return true;
      throw new Error(JSON.stringify(seen));
    });
  }
  await pages[2].evaluate(() => window.video.pause());
  await eventually('all stand at the same second', async () => {
    const at = await Promise.all(pages.map((page) => page.evaluate(() => [window.video.paused, window.video.currentTime])));
    const [first] = at;
    return at.every(([paused, s]) => paused && Math.abs(s - first[1]) < 0.5);
  });
  for (const page of pages) assert.deepEqual(page.problems, []);
});
