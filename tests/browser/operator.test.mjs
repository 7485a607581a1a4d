// The operator's page of a cluster: peers, a peer that is cut off, and its return.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAccessible, assertFits, picture, startDemo } from './demo.mjs';
import { eventually, startBrowser } from './support.mjs';

test('a peer that is cut off is named with the reason, and is back when it is healed', async () => {
  const [demo, browser] = await Promise.all([startDemo(), startBrowser()]);
  const world = await (await fetch(`${demo.url}page/world.json`)).json();
  const line = (cut) => fetch(`${demo.url}demo/lines`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ region: 'us', cut }) });
  const page = await browser.page(null);
  page.on('console', (message) => { if (message.type() === 'error') page.problems.push(message.text()); });
  await page.setViewport({ width: 1360, height: 1000 });
  await page.goto(world.regions[0].admin_url);
  const links = () => page.$eval('#links', (table) => table.textContent);
  await eventually('both peers are linked', async () => { const text = await links(); return text.includes('us') && text.includes('ap') && !text.includes('not reached'); });
  assert.match(await page.$eval('#who', (words) => words.textContent), /^eu in region eu/);
  await picture(page, 'operator');
  await picture(page, 'operator-dark', { scheme: 'dark' });
  await picture(page, 'operator-phone', { width: 360 });
  await assertFits(page);
  await page.setViewport({ width: 1360, height: 1000 });
  await line(true);
  await eventually('us is not reached', async () => (await links()).includes('not reached'));
  await picture(page, 'operator-cut');
  await assertAccessible(page);
  await line(false);
  await eventually('us is back', async () => !(await links()).includes('not reached'));
  assert.deepEqual(page.problems, []);
});
