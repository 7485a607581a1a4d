// Pages that are left, put aside and come back to; and viewers who come after one another.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT, eventually, keyring, leftAt, noteLeaving, startBrowser, startNode, startSite } from './support.mjs';

const node = await startNode();
const folders = [path.join(ROOT, 'tests/browser/pages'), path.join(ROOT, 'src/gateway/web/page')];
const newSite = (of = node) => startSite({ node: of, folders, bundled: false });
const [site, browser] = [await newSite(), await startBrowser()];

const address = (query, at = site) => `${at.url}/plain.html?${new URLSearchParams({ device: 'laptop', ...query })}`;
const ready = (page) => eventually('the page is ready', () => page.evaluate(() => window.video?.readyState > 2 && 'resumed' in window));
const connected = (page) => eventually('it is connected', () => page.evaluate(() => window.sync._link.mode === 'websocket'));

async function open(query, { at, context } = {}) {
  const page = await browser.page(address(query, at), { context });
  await ready(page);
  return page;
}

const seconds = (page) => page.evaluate(() => window.video.currentTime);
const play = async (page, s) => {
  const from = await seconds(page);
  await page.evaluate(() => window.video.play());
  await eventually('it plays on', async () => (await seconds(page)) >= from + s);
};
const from = (device, kind, position_ms, title_id) => ({ profile_id: 'ann', title_id, device_id: device, kind, position_ms });

test('a page kept aside by the browser has saved, and is in step again when it is come back to', async () => {
  const page = await open({ title: 'aside' });
  await connected(page);
  await page.evaluate(() => {
    window.same = true;
    addEventListener('pageshow', ({ persisted }) => { window.persisted = persisted; });
  });
  await play(page, 2);
  await page.evaluate(() => window.video.pause());
  const stood = await seconds(page);
  await page.goto(`${site.url}/blank.html`);
  await eventually('it is saved', async () => Math.abs((await node.progress('ann', 'aside')).position_ms - stood * 1_000) < 300);
  await node.record(from('tv', 'SEEK', 222_000, 'aside'));
  await page.evaluate(() => history.back());
  await eventually('it is there as it was', () => page.evaluate(() => window.same && window.persisted));
  await connected(page);
  await eventually('and has gone along with the television', async () => Math.abs((await seconds(page)) - 222) < 0.5);
  await play(page, 1);
  await page.evaluate(() => window.video.pause());
  await eventually('it reports again', async () => {
    const { device_id, state, position_ms } = await node.progress('ann', 'aside');
    return device_id === 'laptop' && state === 'paused' && position_ms > 222_500;
  });
  assert.deepEqual(page.problems, []);
});

test('a page that is loaded anew by the way back resumes where things stand now', async () => {
  const page = await open({ title: 'back', aside: 'no' });
  await page.goto(`${site.url}/blank.html`);
  await node.record(from('tv', 'PAUSE', 111_000, 'back'));
  await page.evaluate(() => history.back());
  await ready(page);
  await eventually('and not as the browser has it of the first visit', async () => Math.abs((await seconds(page)) - 111) < 0.5);
});

test('a tab behind another goes quiet, and is in step at once when it is seen', async () => {
  const own = await newSite();
  const page = await open({ title: 'behind' }, { at: own });
  await connected(page);
  const other = await browser.page(`${own.url}/blank.html`);
  await other.bringToFront();
  await eventually('it is hidden', () => page.evaluate(() => document.hidden));
  await eventually('it has no line any more', () => page.evaluate(() => {
    const { quiet, _link: { socket, mode } } = window.sync;
    if (socket?.readyState !== 1 && mode !== 'websocket') return true;
    throw new Error(`${mode}, socket ${socket?.readyState}, ${quiet ? 'quiet' : 'not quiet'}, ${document.visibilityState}`);
  }));
  const asked = own.requests.length;
  await node.record(from('tv', 'SEEK', 99_000, 'behind'));
  assert.equal(await page.evaluate(() => window.video.currentTime), 0);
  await page.evaluate(() => {
    window.waits = [];
    const { restart } = window.sync._link;
    window.sync._link.restart = function (wait = 0, ...more) {
      if (!document.hidden) window.waits.push(wait);
      return restart.call(this, wait, ...more);
    };
  });
  const before = own.requests.length;
  await page.bringToFront();
  await eventually('it is there', async () => Math.abs((await seconds(page)) - 99) < 0.5);
  await connected(page);
  assert.equal(await page.evaluate(() => window.waits[0]), 0, 'it waits for nothing before it connects');
  assert.equal(own.requests.slice(before).filter(({ method }) => method === 'UPGRADE').length, 1, 'which it does once');
  assert.ok(asked < 12, `${asked} requests`);
  assert.deepEqual(page.problems, []);
});

for (const crossing of [false, true]) {
  test(`with a token${crossing ? ' and a node of another origin' : ''}, a tab closed in mid-playback loses nothing`, async () => {
    const { settings, sign } = keyring();
    const front = await newSite(null);
    const token = sign('ann');
    const closed = await startNode({ settings: { ...settings, LEFTOFF_GATEWAY__ORIGINS: front.url }, token });
    const at = crossing ? front : await newSite(closed);
    const page = await open({ title: 'signed', token, ...(crossing && { url: closed.url }) }, { at });
    await connected(page);
    await play(page, 3);
    const stood = await seconds(page);
    await noteLeaving(page);
    await page.close();
    const left = await leftAt(browser, at.url);
    const kept = await eventually('it is kept', async () => {
      const shown = await closed.progress('ann', 'signed');
      return shown.state === 'stopped' && shown;
    });
    assert.ok(kept.position_ms >= stood * 1_000 - 100 && kept.position_ms < left * 1_000 + 50, `${kept.position_ms} after ${stood}, left at ${left}`);
  });
}

test('what one viewer watched offline is not sent as, nor by, the next', async () => {
  const own = await newSite();
  const page = await open({ title: 'family', profile: 'ann' }, { at: own, context: await browser.device() });
  await play(page, 1);
  own.cut();
  await page.evaluate(() => { window.video.currentTime = 150; });
  await eventually('it is there', async () => (await seconds(page)) > 150.5);
  await page.evaluate(async () => {
    const anns = window.sync;
    window.sync = new window.Leftoff({ profileId: 'ben', deviceId: 'laptop' });
    window.attachment = window.sync.attach(window.video, { titleId: 'family' });
    anns.close();
    await window.attachment.ready;
  });
  assert.ok((await seconds(page)) < 100, 'ben begins at the beginning');
  own.heal();
  await page.evaluate(() => window.dispatchEvent(new Event('online')));
  await play(page, 2);
  await page.evaluate(() => window.video.pause());
  const bens = await eventually("ben's is kept", async () => {
    const shown = await node.progress('ben', 'family');
    return shown.state === 'paused' && shown;
  });
  assert.ok(bens.furthest_ms < 140_000, JSON.stringify(bens));
  assert.ok((await node.progress('ann', 'family')).furthest_ms < 100_000, 'hers still waits');
  await page.evaluate(() => {
    window.sync.close();
    window.sync = new window.Leftoff({ profileId: 'ann', deviceId: 'laptop' });
  });
  await eventually('and goes out when she is back', async () => (await node.progress('ann', 'family')).furthest_ms >= 150_000);
  assert.deepEqual(page.problems, []);
});
