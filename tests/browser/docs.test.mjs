// The example of docs/web.md as it stands there, on a page of another origin, with a token, against a node that speaks HTTPS.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT, certificate, emptyFolder, eventually, keyring, startBrowser, startNode, startSite } from './support.mjs';

// The test itself asks the node too, whose certificate is no one's.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
const example = /```html\n([^]*?)\n```/.exec(readFileSync(path.join(ROOT, 'docs/web.md'), 'utf8'))[1];

test('five lines make a video resume, report and follow', async () => {
  assert.equal(example.split('\n').length, 5);
  const { settings, sign } = keyring();
  const token = sign('ada');
  const folder = emptyFolder();
  // What a page has anyway: its film, and who is signed in.
  writeFileSync(path.join(folder, 'app.html'), `<!doctype html><html lang="en"><meta charset="utf-8"><title>An app</title><link rel="icon" href="data:,">
<video src="/night-train.webm" muted playsinline></video><script>const token = '${token}';</script>
${example}
</html>`);
  const site = await startSite({ folders: [folder, path.join(ROOT, 'src/gateway/web/page')] });
  const node = await startNode({ settings: { ...settings, ...certificate(), LEFTOFF_GATEWAY__ORIGINS: site.url }, token });
  // The name in the example leads to the node.
  const browser = await startBrowser({ args: [`--host-resolver-rules=MAP node.example:443 127.0.0.1:${new URL(node.url).port}`, '--ignore-certificate-errors'] });
  const event = (kind, position_ms) => ({ profile_id: 'ada', title_id: 'film', device_id: 'tv', kind, position_ms });
  await node.record(event('PAUSE', 77_000));
  const page = await browser.page(`${site.url}/app.html`);
  page.on('console', (message) => { if (message.type() === 'error') page.problems.push(message.text()); });
  const at = () => page.$eval('video', (video) => video.currentTime);
  await eventually('it resumes', async () => Math.abs((await at()) - 77) < 0.5);
  await page.$eval('video', (video) => video.play());
  await eventually('it plays', async () => (await at()) > 78);
  await page.$eval('video', (video) => video.pause());
  const kept = await eventually('it reports', async () => {
    const shown = await node.progress('ada', 'film');
    return shown.state === 'paused' && shown.device_id === 'laptop' && shown;
  });
  assert.ok(Math.abs(kept.position_ms - (await at()) * 1_000) < 300, JSON.stringify(kept));
  await node.record(event('PLAY', 79_000), event('SEEK', 200_000));
  await eventually('it follows', async () => Math.abs((await at()) - 200) < 0.5);
  assert.deepEqual(page.problems, []);
});
