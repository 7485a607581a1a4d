// leftoff.js around real players in a real browser, against a real node: a plain element, video.js, plyr, hls.js, shaka-player.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT, eventually, startBrowser, startNode, startSite } from './support.mjs';

const [node, browser] = await Promise.all([startNode(), startBrowser()]);
const folders = [path.join(ROOT, 'tests/browser/pages'), path.join(ROOT, 'src/gateway/web/page')];
const site = await startSite({ node, folders, bundled: false });

const posted = (title) => site.requests.filter(({ path: asked }) => asked === '/v1/events').flatMap(({ body }) => JSON.parse(body).events)
  .filter(({ title_id }) => title_id === title);

/** A party of a title, led by another page: where it is at first, and how to move it. */
async function hosted(title) {
  leader ??= await browser.page(`${site.url}/blank.html`, { context: await browser.device() });
  const made = await leader.evaluate(async (titleId) => {
    const { Leftoff } = await import('/leftoff.js');
    globalThis.host?.close();
    globalThis.host = new Leftoff({ profileId: 'host', deviceId: 'host' });
    const connected = new Promise((resolve) => globalThis.host.on('connection', ({ state }) => state === 'websocket' && resolve()));
    await connected;
    globalThis.stamps = new Set();
    globalThis.host.on('party', ({ anchor }) => globalThis.stamps.add(anchor?.stamp));
    const own = await globalThis.host.createParty({ title_id: titleId, position_ms: 250_000, playing: false, control: 'everyone' });
    globalThis.host.joinParty(own);
    return own;
  }, title);
  await eventually('the host is in', () => leader.evaluate(() => globalThis.stamps.size > 0));
  return {
    made,
    control: (anchor) => leader.evaluate((to) => globalThis.host.party.control({ rate: 1, ...to }), anchor),
    /** How many commands there were, whoever gave them. */
    commands: () => leader.evaluate(() => globalThis.stamps.size - 1),
  };
}
let leader;

for (const player of ['plain', 'videojs', 'plyr', 'hls', 'shaka']) {
  test(`${player}: it resumes, reports play, seek and pause once each, and follows another device`, async () => {
    const title = `film in ${player}`;
    const event = (kind, position_ms) => ({ profile_id: 'ann', title_id: title, device_id: 'tv', kind, position_ms });
    await node.record({ ...event('PAUSE', 100_000), at_ms: Date.now() - 3_600_000 });
    const page = await browser.page(`${site.url}/${player}.html?title=${encodeURIComponent(title)}&device=laptop`);
    // What it says over its line, as the node is told it.
    await page.evaluate(() => new Promise((resolve) => {
      const look = () => (window.sync ? resolve() : setTimeout(look, 20));
      look();
    }));
    await page.evaluate(() => {
      window.said = [];
      const { report } = window.sync;
      window.sync.report = (told) => { window.said.push([told.kind, told.positionMs]); return report.call(window.sync, told); };
    });
    await eventually('it resumes', () => page.evaluate(() => {
      const { readyState, currentTime } = window.video;
      if (readyState > 1 && Math.abs(currentTime - 100) < 0.5) return true;
      throw new Error(`at ${currentTime}, ready ${readyState}, resumed ${JSON.stringify(window.resumed)}, ${JSON.stringify([window.attachment.aim, window.attachment.target, window.attachment.moved, window.attachment.later])}`);
    }));
    await page.evaluate(() => window.video.play());
    await eventually('it plays', () => page.evaluate(() => window.video.currentTime > 100.5));
    await eventually('the node hears that it plays', async () => (await node.progress('ann', title)).state === 'playing');
    await page.evaluate(() => { window.video.currentTime = 200; });
    await eventually('the jump arrives', async () => (await node.progress('ann', title)).position_ms >= 200_000);
    await page.evaluate(() => window.video.pause());
    const paused = await eventually('the pause arrives', async () => {
      const shown = await node.progress('ann', title);
      return shown.state === 'paused' && shown;
    });
    assert.equal(paused.device_id, 'laptop');
    assert.equal(paused.places.length, 2, 'the place it came from is the way back');
    assert.ok(paused.places[1].position_ms >= 100_000 && paused.places[1].position_ms < 190_000);
    const said = await page.evaluate(() => window.said);
    assert.deepEqual(said.map(([kind]) => kind), ['PLAY', 'SEEK', 'PAUSE'], JSON.stringify(said));
    await node.record(event('PLAY', 200_000), event('SEEK', 20_000));
    await eventually('it follows the television', () => page.evaluate((id) => {
      if (Math.abs(window.video.currentTime - 20) < 0.5) return true;
      const { video, attachment, sync } = window;
      const { position_ms, version, device_id } = sync.view(id);
      throw new Error(JSON.stringify({ at: video.currentTime, paused: video.paused, seeking: video.seeking, position_ms, version, device_id,
        hidden: sync.hidden, mode: sync._link?.mode, scrub: attachment.scrub, target: attachment.target, held: attachment.held, gone: attachment.gone }));
    }, title));
    assert.deepEqual(await page.evaluate(() => window.said.length), 3, 'following is no report');
    // A party moves it as well, and starts it: that it plays is its own report, where it was put is not.
    const host = await hosted(title);
    await page.evaluate((made) => void window.sync.joinParty(made, window.attachment), host.made);
    await eventually('the party moves it', () => page.evaluate(() => Math.abs(window.video.currentTime - 250) < 0.5));
    await host.control({ position_ms: 50_000, playing: true });
    await eventually('and starts it elsewhere', () => page.evaluate(() => {
      const { video, attachment: { target, scrub, took, plays }, sync } = window;
      if (!video.paused && video.currentTime > 50.5 && video.currentTime < 190) return true;
      throw new Error(JSON.stringify({ at: video.currentTime, paused: video.paused, seeking: video.seeking, ready: video.readyState, rate: video.playbackRate,
        target: String(target), scrub, took, plays, known: sync.party?.paused, anchor: sync.party?.anchor, now: sync._clock.now(), mode: sync._link.mode }));
    }));
    await host.control({ position_ms: 200_000, playing: false });
    await eventually('and stops it there', () => page.evaluate(() => window.video.paused && Math.abs(window.video.currentTime - 200) < 0.5));
    assert.deepEqual(await page.evaluate(() => window.said.map(([kind]) => kind)), ['PLAY', 'SEEK', 'PAUSE', 'PLAY', 'PAUSE'], 'a party seeks for nobody');
    assert.equal(await host.commands(), 2, 'nor is it answered');
    await page.evaluate(() => window.sync.party.leave());
    assert.deepEqual(page.problems, []);
    await eventually('all of it is kept', () => page.evaluate(() => window.sync._queue.length === 0));
    // What was said before the line stood went by request.
    await eventually('all is kept', () => page.evaluate(() => window.sync._queue.length === 0));
    const before = posted(title).length;
    await page.close();
    assert.deepEqual(posted(title).slice(before), [], 'and a page that goes has nothing left to say');
  });
}
