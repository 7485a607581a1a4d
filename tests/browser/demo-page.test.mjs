// The page of three regions, used as a visitor would.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAccessible, assertFits, opened, picture, press, screen, settled, shown, startDemo } from './demo.mjs';
import { eventually, startBrowser } from './support.mjs';

const [demo, browser] = await Promise.all([startDemo(), startBrowser()]);
const page = await opened(browser, demo.url);

const text = (selector) => page.$eval(selector, (element) => element.textContent);
const says = (words) => eventually(`the page says why: ${words}`, () => page.$eval('#why', (log, part) => log.textContent.includes(part), words));
const overall = (words) => eventually(`it is told: ${words}`, async () => (await text('#overall')).includes(words));
const resumesAt = (region) => text(`[data-region="${region}"] .resume-at`);

test('paused on the TV, the film is at the same second on the laptop, in another region, within a second', async () => {
  await press(page, 'Play on TV');
  await eventually('it plays', async () => (await shown(page, screen('tv'))).at > 2);
  // Both clocks are the page's: from the click to the laptop's picture.
  const took = await page.evaluate(async (tv, laptop) => {
    const [one, other] = [document.querySelector(tv), document.querySelector(laptop)];
    const begun = performance.now();
    one.pause();
    while (Math.abs(other.currentTime - one.currentTime) > 0.05 || other.seeking) {
      if (performance.now() - begun > 20_000) throw new Error(`${one.currentTime} and ${other.currentTime}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return performance.now() - begun;
  }, screen('tv'), screen('laptop'));
  const [tv, laptop] = [await settled(page, screen('tv')), await settled(page, screen('laptop'))];
  assert.equal(laptop.second, tv.second);
  assert.ok(took < 1_000, `${took} ms`);
  await says('Paused on the TV');
  await overall('all three regions agree');
});

test('a region that is cut off differs, says so, and agrees again when it is healed', async () => {
  await press(page, 'Cut ap off from the others');
  await says('Region ap is cut off.');
  await press(page, '+90 s on Phone');
  await says('The phone seeks to');
  await press(page, 'Play on Laptop');
  await eventually('the laptop plays on', async () => (await shown(page, screen('laptop'))).at > 5);
  await press(page, 'Pause on Laptop');
  await overall('the regions differ');
  assert.notEqual(await resumesAt('us'), await resumesAt('ap'));
  assert.match(await text('[data-region="ap"] .pill'), /cut off/);
  assert.match(await text('#graph title'), /us and ap differ/);
  await picture(page, 'demo-apart');
  await picture(page, 'demo-apart-dark', { scheme: 'dark' });
  await picture(page, 'demo-apart-phone', { width: 360 });
  await page.setViewport({ width: 1360, height: 1000 });

  await press(page, 'Cut ap off from the others');
  await overall('all three regions agree');
  await says('All three regions agree again');
  for (const region of ['eu', 'us']) assert.equal(await resumesAt(region), await resumesAt('ap'), region);
  assert.match(await text('[data-region="us"] .way-back'), /0:0\d/, 'what the laptop watched stays as a way back');
  const [laptop, phone] = [await settled(page, screen('laptop')), await settled(page, screen('phone'))];
  assert.equal(laptop.second, phone.second, 'the laptop went along');
});

test('a device that is offline plays on, and what it reports counts when it is back', async () => {
  await press(page, 'Take the TV offline');
  await press(page, '+90 s on TV');
  await says('The TV is offline.');
  const { at } = await shown(page, screen('tv'));
  const before = await resumesAt('eu');
  await press(page, 'Play on TV');
  await eventually('it plays on', async () => (await shown(page, screen('tv'))).at > at + 1.5);
  await press(page, 'Pause on TV');
  assert.equal(await resumesAt('eu'), before, 'nobody has heard of it');
  await press(page, 'Take the TV offline');
  const tv = await settled(page, screen('tv'));
  await eventually('eu has what was watched offline', async () => (await resumesAt('eu')).endsWith(`:${String(tv.second % 60).padStart(2, '0')}`));
  await overall('all three regions agree');
});

test('a clock that is wrong by a day moves nobody', async () => {
  await page.select('#clock-page-laptop', '86400000');
  const { at } = await settled(page, screen('laptop'));
  await press(page, 'Play on Laptop');
  await eventually('it plays', async () => (await shown(page, screen('laptop'))).at > at + 1.5);
  await press(page, 'Pause on Laptop');
  const { second } = await settled(page, screen('laptop'));
  await eventually('us has it', async () => (await resumesAt('us')).endsWith(`:${String(second % 60).padStart(2, '0')}`));
  await page.select('#clock-page-laptop', '0');
  // Nobody is locked out: a jump made after that wins.
  await press(page, 'Start over on Phone');
  await says('The phone starts from the beginning');
  await eventually('everybody starts over', async () => (await Promise.all(['eu', 'us', 'ap'].map(resumesAt))).every((place) => place.startsWith('0:0')));
  await press(page, 'Pause on Phone');
});

test('the page shows by itself what it is about', async () => {
  await press(page, 'Show me, in half a minute');
  await eventually('it comes to its end', async () => (await text('#tour')).includes('All agree on'), 60_000);
  await picture(page, 'demo-shown');
  await eventually('and makes way', () => page.$eval('#tour', (line) => line.hidden), 30_000);
  await overall('all three regions agree');
});

test('it can be used by keyboard and screen reader, and on a phone', async () => {
  await assertAccessible(page);
  await assertFits(page);
  await page.setViewport({ width: 1360, height: 1000 });
  await page.focus('.skip');
  const order = [];
  for (let count = 0; count < 12; count += 1) {
    await page.keyboard.press('Tab');
    order.push(await page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent));
  }
  for (const name of ['Show me, in half a minute', 'Cut eu off from the others', 'Play on TV', 'Position on TV']) assert.ok(order.includes(name), `${name} in ${order}`);
});

test('the browser had nothing to complain about', () => assert.deepEqual(page.problems, []));
