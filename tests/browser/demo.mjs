// A running demo, and what a test can read off a page of leftoff.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { emptyFolder, endWith, eventually, ROOT } from './support.mjs';

const BINARY = process.env.LEFTOFF_BINARY ?? path.join(ROOT, 'target/debug/leftoff');
/** Where pictures of the pages go, for people to look at. */
export const PICTURES = path.join(ROOT, 'target/screenshots');

/** `leftoff demo` without its pauses, its story told; it goes with the test file. */
export async function startDemo() {
  const folder = emptyFolder();
  const child = spawn(BINARY, ['demo', '--fast'], { env: { ...process.env, TMPDIR: folder }, stdio: ['pipe', 'pipe', 'inherit'] });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  endWith(folder, async () => { child.kill('SIGTERM'); await gone; });
  let told = '';
  child.stdout.on('data', (text) => { told += text; });
  await eventually('the story is told', () => told.includes('Your turn'));
  const url = /In a browser: (http:\S+)/.exec(told)[1];
  return { url, told: () => told };
}

/** A page that is complete: its players have their film. Complaints of the browser are kept in `page.problems`. */
export async function opened(browser, url, options) {
  const page = await browser.page(null, options);
  page.on('console', (message) => { if (message.type() === 'error') page.problems.push(`${message.text()} ${message.location()?.url ?? ''}`); });
  await page.setViewport({ width: 1360, height: 1000 });
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  await eventually('the players have their film', () => page.evaluate(() => {
    const videos = [...document.querySelectorAll('video')];
    return videos.length > 0 && videos.every((video) => video.readyState >= 2) && !document.querySelector('#overall').textContent.includes('connecting');
  }));
  return page;
}

/** Presses what has this accessible name. */
export async function press(page, name) {
  const handle = await page.waitForSelector(`aria/${name}`);
  await handle.evaluate((element) => element.scrollIntoView({ block: 'center', behavior: 'instant' }));
  await handle.click();
}

/** Which second the picture of a video shows, read from its pixels, and where the player says it is. */
export function shown(page, selector) {
  return page.$eval(selector, (video) => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0);
    let second = 0;
    for (let bit = 8; bit >= 0; bit -= 1) {
      const [red] = context.getImageData(612 - bit * 22 + 8, 28, 1, 1).data;
      second = second * 2 + (red > 128 ? 1 : 0);
    }
    return { second, at: video.currentTime, paused: video.paused };
  });
}

/** The video of one of the page's screens. */
export const screen = (device) => `[data-device="page-${device}"] video`;

/**
 * Waits until a paused player's picture has come to the second that it is at, and tells it. Paused at the very beginning of a second, it may go on
 * showing the frame before, as nothing has it draw another; paused at its very end, it may show the next frame already, which was due on the screen.
 */
export async function settled(page, selector) {
  return eventually('the picture is of the second that the player is at', async () => {
    const { second, at, paused } = await shown(page, selector);
    const is = Math.floor(at + 0.001);
    const isNear = is === second || (is - 1 === second && at - is < 0.25) || (is + 1 === second && second - at < 0.1);
    if (paused && isNear) return { second: is, at };
    throw new Error(`${paused ? 'paused' : 'playing'} at ${at}, with a picture of ${second}`);
  });
}

/** Counts what the players of a page say to their nodes in a party: a command that comes back must not be answered by another. */
export async function countCommands(page) {
  await page.evaluate(() => {
    globalThis.commands = 0;
    for (const { sync } of globalThis.leftoffPage.players) {
      const { control } = sync.party;
      sync.party.control = function (anchor) { globalThis.commands += 1; return control.call(this, anchor); };
    }
  });
  return () => page.evaluate(() => globalThis.commands);
}

/**
 * Waits until the players of a page, seen all at the same moment, are together in their party: of one anchor, which `passes`, and less than three
 * seconds from where it says that they are.
 */
export function together(page, what, passes) {
  return eventually(what, async () => {
    const seen = await page.evaluate(() => globalThis.leftoffPage.players.map(({ sync, attached: { target, scrub, plays, media } }) => {
      const { anchor } = sync.party;
      const now = sync._clock.now();
      const off = media.currentTime - (anchor.position_ms + (anchor.playing ? now - anchor.at_ms : 0)) / 1_000;
      return { stamp: anchor.stamp, from: anchor.position_ms / 1_000, at: media.currentTime, off, paused: media.paused, playing: anchor.playing,
        target, scrub, plays, seeking: media.seeking, ready: media.readyState, rate: media.playbackRate, mode: sync._link.mode };
    }));
    const [{ stamp }] = seen;
    if (seen.every((own) => own.stamp === stamp && Math.abs(own.off) < (own.playing ? 3 : 0.3) && own.paused !== own.playing && passes(own))) return seen;
    throw new Error(JSON.stringify(seen));
  });
}

/** A picture of the page for people. */
export async function picture(page, name, { scheme = 'light', width = 1360 } = {}) {
  mkdirSync(PICTURES, { recursive: true });
  // Without motion: a picture in the middle of a change of colours shows neither.
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }, { name: 'prefers-reduced-motion', value: 'reduce' }]);
  await page.setViewport({ width, height: width < 600 ? 780 : 1000 });
  // Videos too are drawn anew.
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  await page.screenshot({ path: path.join(PICTURES, `${name}.png`), fullPage: true });
}

/** Nothing that the rules of axe call an obstacle, in light and in dark. */
export async function assertAccessible(page) {
  await page.evaluate(readFileSync(path.join(ROOT, 'tests/browser/node_modules/axe-core/axe.min.js'), 'utf8'));
  for (const scheme of ['light', 'dark']) {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }, { name: 'prefers-reduced-motion', value: 'reduce' }]);
    const found = await page.evaluate(async () => {
      const { violations } = await globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] });
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join(' | ')}`);
    });
    assert.deepEqual(found, [], scheme);
  }
}

/** No part of the page is wider than a small phone. */
export async function assertFits(page, width = 360) {
  await page.setViewport({ width, height: 780 });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, `no scrolling sideways at ${width}`);
}
