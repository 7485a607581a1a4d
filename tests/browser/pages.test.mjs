// The page of one node, and the operator's page.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAccessible, assertFits, countCommands, opened, picture, press, screen, settled, shown, together } from './demo.mjs';
import { eventually, startBrowser, startNode } from './support.mjs';

const [node, browser] = await Promise.all([startNode(), startBrowser()]);

test('a node alone shows its three screens and says how to see three regions', async () => {
  const page = await opened(browser, `${node.url}/`);
  assert.match(await page.$eval('#intro-text', (words) => words.textContent), /leftoff demo/);
  assert.equal(await page.$('#agreement'), null);
  await press(page, 'Play on TV');
  await eventually('it plays', async () => (await shown(page, screen('tv'))).at > 1.5);
  await press(page, 'Pause on TV');
  const { second } = await settled(page, screen('tv'));
  for (const device of ['laptop', 'phone']) {
    await eventually(`the ${device} goes along`, async () => (await shown(page, screen(device))).second === second);
  }
  const kept = await node.progress('viewer', 'night-train-clip');
  assert.equal(Math.floor(kept.position_ms / 1000), second);
  await eventually('it says so', async () => (await page.$eval('.resume-at', (at) => at.textContent)) === `0:${String(second).padStart(2, '0')}`);
  await picture(page, 'node');
  await picture(page, 'node-dark', { scheme: 'dark' });
  await picture(page, 'node-phone', { width: 360 });
  await assertFits(page);
  await page.setViewport({ width: 1360, height: 1000 });
  await assertAccessible(page);
  assert.equal((await fetch(`${node.url}/v1/profiles/viewer`, { method: 'DELETE' })).ok, true);
  await eventually('what was erased is shown no more', () => page.$eval('.resume', ({ textContent }) => /0:00nothing recorded yet/.test(textContent)));
  assert.deepEqual(page.problems, []);
});

test('a party of three: whoever seeks moves all, and two seeks that cross end in one place', async () => {
  const page = await opened(browser, `${node.url}/`);
  for (const name of ['TV', 'laptop', 'phone']) {
    await press(page, `Watch party on the ${name}`);
    await eventually(`the ${name} is in`, () => page.$eval(`aria/Watch party on the ${name}`, (button) => /with \d/.test(button.textContent)));
  }
  const commands = await countCommands(page);
  await press(page, 'Play on TV');
  await together(page, 'all play', ({ playing }) => playing);
  assert.equal(await commands(), 1);
  for (const [name, target] of [['TV', 110], ['Laptop', 10], ['Phone', 150]]) {
    await page.$eval(`aria/Position on ${name}`, (range, value) => { range.value = value; range.dispatchEvent(new Event('change')); }, target);
    await together(page, `all go where the ${name} went`, ({ from, at }) => from >= target && from < target + 50 && at >= target - 1);
  }
  assert.equal(await commands(), 4);
  // Two seeks at once, each to another place: everyone ends in one, and stays.
  await page.evaluate((tv, phone) => { document.querySelector(tv).currentTime = 20; document.querySelector(phone).currentTime = 100; }, screen('tv'), screen('phone'));
  await eventually('both were said', async () => (await commands()) === 6);
  await together(page, 'two seeks that cross end in one place, and all play on there', ({ from, at }) => ((from >= 20 && from < 60) || (from >= 100 && from < 140)) && at > from + 2);
  await press(page, 'Pause on Laptop');
  await together(page, 'all pause', ({ playing }) => !playing);
  assert.equal(await commands(), 7, 'a play, five seeks and a pause: nobody answered any');
  for (const name of ['TV', 'laptop', 'phone']) await press(page, `Watch party on the ${name}`);
  assert.deepEqual(page.problems, []);
});

test('the operator sees the node, what it takes and what it refuses', async () => {
  const page = await browser.page(null);
  page.on('console', (message) => { if (message.type() === 'error') page.problems.push(message.text()); });
  await page.setViewport({ width: 1360, height: 1000 });
  await page.goto(`${node.admin}/`);
  await eventually('it is ready', () => page.$eval('#ready', (pill) => pill.textContent === 'ready'));
  const tile = (name) => page.$$eval('.tile', (tiles, wanted) => tiles.find((own) => own.textContent.includes(wanted)).querySelector('.note').textContent, name);
  const kept = async () => Number(/^\d+/.exec(await tile('Events kept'))?.[0] ?? 0);
  const begun = await eventually('figures are there', async () => (await tile('Events kept')) && { count: await kept() });
  await node.record(...Array.from({ length: 40 }, (_, index) => ({ profile_id: `p${index}`, title_id: 't', device_id: 'd', kind: 'PAUSE', position_ms: 1_000 })));
  const answer = await node.post('/v1/events', { events: [{ profile_id: 'p', title_id: 't', device_id: 'd', kind: 'JUMP', position_ms: 1 }] });
  assert.equal(answer.body.refused[0].code, 'bad_kind');
  await eventually('the events are counted', async () => (await kept()) >= begun.count + 40);
  await eventually('the refusal has its reason', () => page.$eval('#refused', (table) => table.textContent.includes('event: bad_kind')));
  await eventually('the table of changed registers fills', () => page.$eval('#fills', (fills) => /Table of changed registers.*[1-9]\d* registers/.test(fills.textContent)));
  assert.match(await page.$eval('#links', (table) => table.textContent), /stands alone/);
  await assertAccessible(page);
  await assertFits(page);
  await page.setViewport({ width: 1360, height: 1000 });
  assert.deepEqual(page.problems, []);
});

test('the operator sees a node that has gone', async () => {
  const other = await startNode();
  const page = await browser.page(`${other.admin}/`);
  await eventually('it is ready', () => page.$eval('#ready', (pill) => pill.textContent === 'ready'));
  await other.kill();
  await eventually('it is not reached', () => page.$eval('#ready', (pill) => pill.textContent === 'not reached'));
});
