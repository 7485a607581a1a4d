// The tools of these tests, tested: a line that can be cut, a browser that starts again with what it kept.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, startBrowser, startNode, startSite } from './support.mjs';

test('a site passes requests on, and cuts and mends the line', async () => {
  const node = await startNode();
  const site = await startSite({ node });
  await node.record({ profile_id: 'ann', title_id: 'film', device_id: 'tv', kind: 'PAUSE', position_ms: 42_000 });
  const read = async () => (await fetch(`${site.url}/v1/profiles/ann/titles/film`)).json();
  assert.equal((await read()).position_ms, 42_000);
  site.cut();
  await assert.rejects(read());
  site.heal();
  assert.equal((await read()).position_ms, 42_000);
});

test('a browser keeps a page of its own and ends when told', async () => {
  const site = await startSite();
  const browser = await startBrowser();
  const page = await browser.page(`${site.url}/blank.html`);
  await page.evaluate(() => localStorage.setItem('seen', 'yes'));
  const other = await browser.page(`${site.url}/blank.html`, { context: await browser.device() });
  assert.equal(await other.evaluate(() => localStorage.getItem('seen')), null, 'another device');
  await browser.quit();
  const again = await startBrowser({ profile: browser.profile });
  const kept = await again.page(`${site.url}/blank.html`);
  assert.equal(await eventually('the page is there', () => kept.evaluate(() => localStorage.getItem('seen'))), 'yes');
});
