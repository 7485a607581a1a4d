// The page of three regions, used as a visitor would.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAccessible, assertFits, countCommands, opened, picture, press, screen, settled, shown, startDemo, together } from './demo.mjs';
import { arrival, eventually, noteArrivals, parts, startBrowser, withinASecond } from './support.mjs';

const [demo, browser] = await Promise.all([startDemo(), startBrowser()]);
const page = await opened(browser, demo.url);

const text = (selector) => page.$eval(selector, (element) => element.textContent);
const says = (words) => eventually(`the page says why: ${words}`, () => page.$eval('#why', (log, part) => log.textContent.includes(part), words));
const overall = (words) => eventually(`it is told: ${words}`, async () => (await text('#overall')).includes(words));
const resumesAt = (region) => text(`[data-region="${region}"] .resume-at`);

const world = await (await fetch(`${demo.url}page/world.json`)).json();
const REGIONS = world.regions.map(({ name }) => name);
/** What the nodes themselves answer, by region. */
async function nodes() {
  const all = await Promise.all(world.regions.map(async ({ url }) => (await fetch(`${url}/v1/profiles/${world.profile_id}/titles/${world.title_id}`)).json()));
  return Object.fromEntries(all.map((progress, index) => [REGIONS[index], progress]));
}
const minutes = (ms) => `${Math.floor(ms / 60_000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, '0')}`;
/** What two nodes must have alike to agree. */
const essence = ({ version, places }) => JSON.stringify([version, places.map((place) => [place.version, place.position_ms])]);
const holdsTrue = (what) => eventually(`${what}: the page says what the nodes answer`, async () => {
  const before = await nodes();
  const told = await Promise.all(REGIONS.map(resumesAt));
  const graph = await page.$$eval('#graph .node .at', (all) => all.map((at) => at.textContent));
  const pairs = await text('#graph title');
  const after = await nodes();
  // Asked before and after: what changes meanwhile is looked at again.
  if (JSON.stringify(before) !== JSON.stringify(after)) return null;
  assert.deepEqual(told, REGIONS.map((name) => minutes(after[name].position_ms)));
  assert.deepEqual(graph, told);
  for (const [one, other] of [['eu', 'us'], ['us', 'ap'], ['eu', 'ap']]) {
    const same = essence(after[one]) === essence(after[other]);
    assert.ok(pairs.includes(`${one} and ${other} ${same ? 'hold the same' : 'differ'}`), `${pairs} ${JSON.stringify(after)}`);
  }
  return after;
});
/** How long the graph says that two regions differ, or last differed, in seconds. */
const seconds = (words) => {
  const [, minute = 0, value, unit] = /(?:(\d+) min )?([\d.]+) (ms|s)\b/.exec(words);
  return Number(minute) * 60 + Number(value) / (unit === 'ms' ? 1_000 : 1);
};

test('paused on the TV, the film is at the same second on the laptop, in another region, within a second', async () => {
  await press(page, 'Play on TV');
  await eventually('it plays', async () => (await shown(page, screen('tv'))).at > 2);
  await noteArrivals(page, screen('laptop'));
  const film = await page.$eval(screen('tv'), (video) => video.src);
  await withinASecond({
    alone: (round) => parts(page, { ask: '/page/world.json', film, second: 2 + round }),
    follow: async () => {
      const { at } = await shown(page, screen('tv'));
      await page.$eval(screen('tv'), (video) => video.play());
      await eventually('it plays on', async () => (await shown(page, screen('tv'))).at > at + 1);
      const paused = await page.$eval(screen('tv'), (video) => {
        video.pause();
        return { at: video.currentTime, when: Date.now() };
      });
      const took = (await arrival(page, paused.at, paused.when)) - paused.when;
      const [tv, laptop] = [await settled(page, screen('tv')), await settled(page, screen('laptop'))];
      assert.equal(laptop.second, tv.second);
      return took;
    },
  });
  await says('Paused on the TV');
  await overall('all three regions agree');
});

test('a region that is cut off differs, says so, and agrees again when it is healed', async () => {
  await press(page, 'Cut ap off from the others');
  await says('Region ap is cut off.');
  const [agreed] = Object.values(await holdsTrue('before'));
  const earliest = performance.now();
  await press(page, '+90 s on Phone');
  await says('The phone seeks to');
  await eventually('the nodes differ', async () => { const { eu, ap } = await nodes(); return essence(eu) !== essence(ap); });
  await overall('the regions differ');
  const latest = performance.now();
  const { at } = await shown(page, screen('laptop'));
  await press(page, 'Play on Laptop');
  await eventually('the laptop plays on', async () => (await shown(page, screen('laptop'))).at > at + 2);
  await press(page, 'Pause on Laptop');
  await says('Paused on the laptop');
  assert.notEqual(await resumesAt('us'), await resumesAt('ap'));
  assert.match(await text('[data-region="ap"] .pill'), /cut off/);
  assert.match(await text('#graph title'), /us and ap differ/);
  const apart = await eventually('what the laptop watched is in eu too', async () => {
    const all = await holdsTrue('in the cut');
    return essence(all.eu) === essence(all.us) && all;
  });
  assert.notEqual(essence(apart.us), essence(apart.ap));
  assert.ok(apart.ap.version > agreed.version && apart.us.version === agreed.version, 'ap alone knows of the jump');
  await says(`${minutes(apart.ap.position_ms)}: resume there. A deliberate move opens a new place`);
  await says('in the newest place that us knows of');
  // For how long: no longer than since the jump was asked for, no shorter than since the page said that they differ. Tenths of a second are told.
  const since = performance.now() - latest;
  const label = await page.$eval('#graph .label.differ text', (words) => new Promise((told) => {
    new MutationObserver(() => told(words.textContent)).observe(words, { childList: true, characterData: true, subtree: true });
  }));
  const until = performance.now() - earliest;
  assert.ok(seconds(label) * 1_000 >= since - 100 && seconds(label) * 1_000 <= until + 100, `${label}, at least ${since}, at most ${until} ms`);
  await picture(page, 'demo-apart');
  await picture(page, 'demo-apart-dark', { scheme: 'dark' });
  await picture(page, 'demo-apart-phone', { width: 360 });
  await page.setViewport({ width: 1360, height: 1000 });

  const apartUntil = performance.now();
  await press(page, 'Cut ap off from the others');
  await overall('all three regions agree');
  await says('All three regions agree again');
  const lasted = [apartUntil - latest, performance.now() - earliest];
  const healed = await holdsTrue('healed');
  assert.ok(Object.values(healed).every((progress) => essence(progress) === essence(healed.eu)));
  const told = await page.$$eval('#why .words', (all) => all.map((words) => words.textContent).find((words) => words.startsWith('All three regions agree again')));
  assert.ok(told.includes(`agree again on ${minutes(healed.ap.position_ms)}, after`), told);
  assert.ok(seconds(told.split('after ')[1]) * 1_000 >= lasted[0] - 100 && seconds(told.split('after ')[1]) * 1_000 <= lasted[1] + 100, `${told}: ${lasted} ms`);
  assert.equal(healed.eu.version, apart.ap.version, 'the jump won');
  assert.match(told, /The phone's seek to \d:\d\d is the newest deliberate move and wins/);
  const others = healed.eu.places.slice(1).map((place) => minutes(place.position_ms));
  assert.ok(told.includes(`Kept as ways back: ${others[0]}`), `${told} ${others}`);
  assert.equal(healed.eu.places[1].position_ms, apart.us.position_ms, 'which is what was watched in us meanwhile');
  for (const region of ['eu', 'us']) assert.equal(await resumesAt(region), await resumesAt('ap'), region);
  assert.ok((await text('[data-region="us"] .way-back')).includes(minutes(apart.us.position_ms)), 'what the laptop watched stays as a way back');
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
  for (const region of REGIONS) assert.doesNotMatch(await resumesAt(region), /^0:/);
  await press(page, 'Start over on Phone');
  await says('The phone starts from the beginning');
  await eventually('everybody starts over', async () => (await Promise.all(REGIONS.map(resumesAt))).every((place) => place.startsWith('0:')));
  await press(page, 'Pause on Phone');
});

test('a watch party across three regions: a seek from each, and all end in one place', async () => {
  const everyone = [['TV', 'tv'], ['Laptop', 'laptop'], ['Phone', 'phone']];
  for (const [label] of everyone) {
    const name = `Watch party on the ${label === 'TV' ? label : label.toLowerCase()}`;
    await press(page, name);
    await eventually(`the ${label} is in`, () => page.$eval(`aria/${name}`, (button) => /with \d/.test(button.textContent)));
  }
  await eventually('all three are counted in every region', () => page.$$eval('[role=switch] .quiet', (counts) => counts.filter((count) => count.textContent === ' with 3').length === 3));
  const commands = await countCommands(page);
  await press(page, 'Play on TV');
  await together(page, 'all play', ({ playing }) => playing);
  assert.equal(await commands(), 1);
  let count = 1;
  for (const [label, target] of [['Phone', 110], ['TV', 10], ['Laptop', 150]]) {
    await page.$eval(`aria/Position on ${label}`, (range, value) => { range.value = value; range.dispatchEvent(new Event('change')); }, target);
    await together(page, `all go where the ${label} went`, ({ from, at }) => from >= target && from < target + 50 && at >= target - 1);
    count += 1;
    assert.equal(await commands(), count, 'one command, and no answer to it');
  }
  // Two seeks at once, in two regions, each to another place: everyone ends in one, and stays.
  await page.evaluate((tv, phone) => { document.querySelector(tv).currentTime = 20; document.querySelector(phone).currentTime = 100; }, screen('tv'), screen('phone'));
  await eventually('both were said', async () => (await commands()) === count + 2);
  await together(page, 'they end in one place, of one anchor in every region, and play on there', ({ from, at }) => ((from >= 20 && from < 60) || (from >= 100 && from < 140)) && at > from + 2);
  assert.equal(await commands(), count + 2, 'nobody pulled anybody back');
  await press(page, 'Pause on Laptop');
  await together(page, 'all pause', ({ playing }) => !playing);
  assert.equal(await commands(), count + 3);
  for (const [label] of everyone) await press(page, `Watch party on the ${label === 'TV' ? label : label.toLowerCase()}`);
  await overall('all three regions agree');
});

test('the page shows by itself what it is about', async () => {
  await press(page, 'Show me, in half a minute');
  await eventually('it comes to its end', async () => (await text('#tour')).includes('All agree on'), 240_000);
  await picture(page, 'demo-shown');
  await eventually('and makes way', () => page.$eval('#tour', (line) => line.hidden), 60_000);
  await overall('all three regions agree');
});

test('it has nothing that the rules of accessibility call an obstacle, fits on a phone and keeps still when asked', async () => {
  await assertAccessible(page);
  await assertFits(page);
  await page.setViewport({ width: 1360, height: 1000 });
  const moving = () => page.$$eval('*', (all) => all.filter((element) => parseFloat(getComputedStyle(element).transitionDuration) > 0).length);
  assert.equal(await moving(), 0, 'with reduced motion nothing moves');
  await page.emulateMediaFeatures([]);
  assert.notEqual(await moving(), 0);
});

test('all of it is reached and worked by keyboard, in the order in which it is read', async () => {
  // By keys from the first on: who comes by mouse is shown no ring.
  const begin = async () => {
    await page.focus('.skip');
    await page.keyboard.press('Tab');
    await page.keyboard.down('Shift');
    await page.keyboard.press('Tab');
    await page.keyboard.up('Shift');
  };
  await begin();
  const focused = () => page.evaluate(() => {
    const element = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    return { name: element.getAttribute('aria-label') ?? element.labels?.[0]?.textContent ?? element.textContent.trim(), at: globalThis.stops?.indexOf(element), ring: outlineStyle !== 'none' && parseFloat(outlineWidth) > 0, tag: element.tagName };
  });
  // These very elements, in the order of the page: lines and marks come and go meanwhile, what can be worked stays what it is.
  const wanted = await page.$$eval('a, button, input, select, [tabindex="0"]', (all) => {
    globalThis.stops = all.filter((element) => element.checkVisibility() && !element.disabled);
    return globalThis.stops.length;
  });
  const order = [await focused()];
  for (let count = 1; count < wanted; count += 1) {
    await page.keyboard.press('Tab');
    order.push(await focused());
  }
  assert.deepEqual(order.filter(({ name }) => !name), [], 'each has a name');
  assert.deepEqual(order.filter(({ ring }) => !ring), [], 'and is seen to have the focus');
  assert.deepEqual(order.map(({ at }) => at), order.map((_, index) => index), 'in order, each once');
  // By keys alone: along to the TV's controls, play, pause, seek, cut, wind the clock.
  const go = async (name) => {
    await begin();
    for (let count = 0; (await focused()).name !== name; count += 1) {
      assert.ok(count < wanted * 2, `${name} is reached`);
      await page.keyboard.press('Tab');
    }
  };
  const video = () => shown(page, screen('tv'));
  await go('Start over on TV');
  await page.keyboard.press('Enter');
  await eventually('it plays from the start', async () => { const { at, paused } = await video(); return !paused && at < 20; });
  await go('Pause on TV');
  await page.keyboard.press('Space');
  await eventually('it pauses', async () => (await video()).paused);
  await go('Position on TV');
  const { at } = await settled(page, screen('tv'));
  for (let count = 0; count < 5; count += 1) await page.keyboard.press('ArrowRight');
  await eventually('it is five seconds on', async () => Math.abs((await video()).at - Math.floor(at) - 5) < 0.5);
  await go('Cut eu off from the others');
  const on = () => page.evaluate(() => document.activeElement.getAttribute('aria-checked'));
  for (const expected of ['true', 'false']) {
    await page.keyboard.press('Space');
    await eventually(`the switch says ${expected}`, async () => (await on()) === expected);
  }
  await overall('all three regions agree');
  // Whoever stands on something stays there when others move.
  const chip = await page.$('[data-region="eu"] .chip');
  await chip.focus();
  const before = await resumesAt('eu');
  await page.$eval('aria/−10 s on Laptop', (button) => button.click());
  await eventually('eu has heard of it', async () => (await resumesAt('eu')) !== before);
  await overall('all three regions agree');
  assert.ok(await chip.evaluate((element) => element.isConnected && element === document.activeElement), 'it has the focus still');
  await go('Show me, in half a minute');
  await page.keyboard.press('Enter');
  const button = () => page.evaluate(() => document.activeElement.textContent);
  const step = () => text('#tour .step');
  assert.equal(await button(), 'Stop');
  const first = await step();
  await eventually('it goes on', async () => (await step()) !== first);
  assert.equal(await button(), 'Stop', 'through its steps');
  await page.keyboard.press('Enter');
  await eventually('it is back where it began', async () => (await button()) === 'Show me, in half a minute');
  await overall('all three regions agree');
  // What happens is told to who does not see it.
  assert.equal(await page.$eval('#overall', (element) => element.getAttribute('role')), 'status');
  assert.equal(await page.$eval('#why', (element) => `${element.getAttribute('role')} ${element.getAttribute('aria-live')}`), 'log polite');
});

test('the browser had nothing to complain about', () => assert.deepEqual(page.problems, []));
