// Real nodes, a real browser and a site between them, for the tests in this folder.
//
// Every process and folder belongs to one test file and goes with it. Nothing here sleeps to make a race pass: `eventually` looks again until a
// deadline. The site stands in front of a node on one origin (pages, packages and the node's own requests), so a test can cut the line.
import { execFileSync, spawn } from 'node:child_process';
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

/** The repository. */
export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
/** Nothing takes this long, on a slow machine with much else to do either; a test that waits for it has failed. */
export const DEADLINE_MS = 120_000;
const CHROMIUM = process.env.LEFTOFF_CHROMIUM ?? '/usr/bin/chromium';
const BINARY = process.env.LEFTOFF_BINARY ?? path.join(ROOT, 'target/debug/leftoff');
const TYPES = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.json': 'application/json',
  '.svg': 'image/svg+xml', '.png': 'image/png', '.webm': 'video/webm', '.mp4': 'video/mp4', '.m4s': 'video/iso.segment',
  '.m3u8': 'application/vnd.apple.mpegurl', '.mpd': 'application/dash+xml',
};

/** Looks until the answer is truthy, and returns it; fails with `what` after the deadline. */
export async function eventually(what, look, deadlineMs = DEADLINE_MS) {
  const until = performance.now() + deadlineMs;
  let last;
  for (;;) {
    try {
      const answer = await look();
      if (answer) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() > until) throw new Error(`not in time: ${what} (last: ${last instanceof Error ? last.stack : JSON.stringify(last)})`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export const median = (values) => [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)];

/**
 * Holds that a second is enough for others to follow. How fast a machine is, is not the matter: each round also measures what it takes for the
 * parts by themselves (`alone`), and of the whole (`follow`) no more than a second may be left over.
 */
export async function withinASecond({ follow, alone, rounds = 5 }) {
  const [follows, parts] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    parts.push(await alone(round));
    follows.push(await follow(round));
  }
  const [whole, apart] = [median(follows), median(parts)];
  if (!(whole - apart < 1_000)) throw new Error(`${whole} ms, of which ${apart} ms are the machine's own: ${JSON.stringify({ follows, parts })}`);
}

/**
 * What a page takes, in milliseconds, for the parts of following somebody: three requests one after the other, as many as there are ways (to a
 * node, to another node, to the other page), and a seek in a video of the same film that nobody keeps in step.
 */
export function parts(page, { ask, film, second }) {
  return page.evaluate(async (where, src, to) => {
    const spare = (globalThis.spare ??= Object.assign(document.createElement('video'), { muted: true, preload: 'auto', src }));
    const comes = (type) => new Promise((resolve) => spare.addEventListener(type, resolve, { once: true }));
    if (spare.readyState < 2) await comes('loadeddata');
    const begun = performance.now();
    for (let way = 0; way < 3; way += 1) await (await fetch(where, { cache: 'no-store' })).text();
    const sought = comes('seeked');
    spare.currentTime = to;
    await sought;
    return performance.now() - begun;
  }, ask, film, second);
}

/** Has a page note when its video has come where it was moved, for `arrival`. */
export const noteArrivals = (page, selector = 'video') => page.$eval(selector, (video) => {
  globalThis.arrivals = [];
  video.addEventListener('seeked', () => globalThis.arrivals.push({ at: video.currentTime, when: Date.now() }));
});

/** When that was, at `second`, `since` then. */
export const arrival = (page, second, since) => eventually(`it comes to ${second}`, () => page.evaluate((to, from) => {
  const came = globalThis.arrivals.find(({ at, when }) => when >= from && Math.abs(at - to) < 0.25);
  if (came) return came.when;
  throw new Error(JSON.stringify(globalThis.arrivals.slice(-3)));
}, second, since));

/** Has a page note where its video stands when it goes, for `leftAt`. */
export const noteLeaving = (page) => page.evaluate(() => {
  localStorage.removeItem('left');
  addEventListener('pagehide', () => { localStorage.left = document.querySelector('video').currentTime; });
});

/** Where that was, asked of another page of the same place. */
export async function leftAt(browser, url) {
  const page = await browser.page(`${url}/blank.html`);
  return eventually('it has gone', () => page.evaluate(() => Number(localStorage.left)));
}

// Who still writes to a folder, as what ends them.
const writers = new Map();

/** An empty folder that goes with the test file, after those who write to it. */
export function emptyFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), 'leftoff-browser-'));
  writers.set(folder, []);
  after(async () => {
    await Promise.all(writers.get(folder).map((end) => end()));
    // Their children may still be writing for a moment.
    await eventually('the folder can go', () => rmSync(folder, { recursive: true, force: true }) ?? true);
  });
  return folder;
}

/** Ends somebody with the test file, before the folder that they write to goes. */
export function endWith(folder, end) {
  writers.get(folder)?.push(end);
  after(end);
}

/** A key of its own, the settings of a node that asks for tokens by it, and how to sign them. */
export function keyring() {
  const folder = emptyFolder();
  const leftoff = (...args) => execFileSync(BINARY, args, { encoding: 'utf8' }).trim();
  leftoff('token', 'keys', '--dir', folder);
  return {
    settings: { LEFTOFF_AUTH__KEY_FILES: path.join(folder, 'tokens.pub.pem') },
    sign: (profile) => leftoff('token', 'sign', 'account', '--profile', profile, '--key', path.join(folder, 'tokens.key.pem')),
  };
}

/** The settings of a node that speaks HTTPS, with a certificate of its own that nobody trusts. */
export function certificate() {
  const folder = emptyFolder();
  execFileSync(BINARY, ['cert', 'ca', '--dir', folder]);
  execFileSync(BINARY, ['cert', 'node', 'n1', '--dir', folder]);
  return { LEFTOFF_GATEWAY__CERT_FILE: path.join(folder, 'n1.pem'), LEFTOFF_GATEWAY__KEY_FILE: path.join(folder, 'n1.key.pem') };
}

async function gone(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => child.once('exit', resolve));
}

/**
 * A node in development, in a process and a folder of its own, on free ports. `settings` are those of the environment
 * (`{LEFTOFF_GATEWAY__...: '...'}`); `token` is shown with each request of the test's own; `args` replaces `serve --dev` for other commands that serve (`['demo', ...]`).
 *
 * @returns {Promise<{url: string, admin: string, folder: string, log: object[], get, post, record, progress, stop, kill}>}
 */
export async function startNode({ folder = emptyFolder(), settings = {}, token, args = ['serve', '--dev'] } = {}) {
  if (!existsSync(BINARY)) throw new Error(`${BINARY} is missing: cargo build`);
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('LEFTOFF_')));
  const free = Object.fromEntries(['GATEWAY', 'QUIC', 'ADMIN'].map((section) => [`LEFTOFF_${section}__LISTEN`, '127.0.0.1:0']));
  const env = { ...clean, ...free, LEFTOFF_NODE__DATA_DIR: folder, LEFTOFF_LOG__FORMAT: 'json', ...settings };
  const child = spawn(BINARY, args, { env, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const log = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    try { log.push(JSON.parse(line)); } catch { log.push({ text: line }); }
  });
  const stop = async (signal = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await gone(child);
  };
  endWith(folder, () => stop('SIGKILL'));
  const serving = await eventually('the node serves', () => {
    if (child.exitCode !== null) throw new Error(`the node has ended: ${JSON.stringify(log.slice(-5))}`);
    return log.find((entry) => entry.gateway && entry.admin);
  });
  const url = `${settings.LEFTOFF_GATEWAY__CERT_FILE ? 'https' : 'http'}://${serving.gateway}`;
  const json = async (method, where, body) => {
    const headers = { ...(body !== undefined && { 'content-type': 'application/json' }), ...(token && { authorization: `Bearer ${token}` }) };
    const answer = await fetch(url + where, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, body: text && JSON.parse(text) };
  };
  const progress = async (profile, title, policy = 'continue') =>
    (await json('GET', `/v1/profiles/${encodeURIComponent(profile)}/titles/${encodeURIComponent(title)}?policy=${policy}`)).body;
  return {
    url, admin: `http://${serving.admin}`, folder, log,
    get: (where) => json('GET', where),
    post: (where, body) => json('POST', where, body),
    /** Records events as another device with a right clock would; `at_ms` says when. */
    record: async (...events) => {
      const answer = await json('POST', '/v1/events', { sent_at_ms: Date.now(), events });
      if (answer.status !== 200 || answer.body.refused.length) throw new Error(JSON.stringify(answer.body));
      return answer.body;
    },
    progress,
    stop: () => stop(),
    kill: () => stop('SIGKILL'),
  };
}

/**
 * A site: files of `folders` (the first that has it), `/npm/PACKAGE/...` from the packages of the tests, `/leftoff.js` as it is in the source
 * unless `bundled`, and everything else passed on to `node`. `cut()` makes the node unreachable, at once and for connections that are open;
 * `heal()` mends it. `silent()` lets requests wait for ever; `withoutSockets()` lets no WebSocket through.
 */
export async function startSite({ node, folders = [path.join(ROOT, 'tests/browser/pages')], bundled = true } = {}) {
  const open = new Set();
  let isCut = false;
  let isSilent = false;
  let sockets = true;
  const requests = [];
  const found = (pathname) => {
    const name = decodeURIComponent(pathname);
    const local = name.startsWith('/npm/') ? [path.join(ROOT, 'tests/browser/node_modules', path.normalize(name.slice(5)))]
      : !bundled && name === '/leftoff.js' ? [path.join(ROOT, 'src/gateway/web/leftoff.js')]
        : folders.map((folder) => path.join(folder, path.normalize(name)));
    return local.find((file) => existsSync(file) && statSync(file).isFile());
  };
  const send = (file, request, response) => {
    const { size } = statSync(file);
    // What must not be stored is not kept aside for the way back either: `?aside=no` asks for that.
    const cache = request.url.includes('aside=no') ? 'no-store' : 'no-cache';
    const headers = { 'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream', 'accept-ranges': 'bytes', 'cache-control': cache };
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const [from, to] = range ? [Number(range[1]), range[2] ? Math.min(Number(range[2]), size - 1) : size - 1] : [0, size - 1];
    if (range) headers['content-range'] = `bytes ${from}-${to}/${size}`;
    response.writeHead(range ? 206 : 200, { ...headers, 'content-length': to - from + 1 });
    createReadStream(file, { start: from, end: to }).on('error', () => response.destroy()).pipe(response);
  };
  const target = () => new URL(node.url);
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://site');
    const file = found(pathname);
    if (file) return send(file, request, response);
    const entry = { method: request.method, path: request.url, body: '', at: Date.now() };
    requests.push(entry);
    request.on('data', (chunk) => { entry.body += chunk; });
    if (!node) return response.writeHead(404).end();
    if (isCut) return request.socket.destroy();
    const pass = () => {
      const { hostname, port } = target();
      const onward = http.request({ hostname, port, method: request.method, path: request.url, headers: request.headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      response.on('close', () => onward.destroy());
      open.add(request.socket);
      request.pipe(onward);
    };
    if (!isSilent) pass();
  });
  server.on('upgrade', (request, socket, head) => {
    requests.push({ method: 'UPGRADE', path: request.url, body: '', at: Date.now() });
    if (isCut || !node || !sockets) return socket.destroy();
    const { hostname, port } = target();
    const onward = net.connect(Number(port), hostname, () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let i = 0; i < request.rawHeaders.length; i += 2) lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
      onward.write(`${lines.join('\r\n')}\r\n\r\n`);
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    open.add(socket);
    for (const [one, other] of [[socket, onward], [onward, socket]]) one.on('error', () => other.destroy()).on('close', () => other.destroy());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => { server.closeAllConnections(); server.close(); for (const socket of open) socket.destroy(); });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** What was asked of the node through this site, oldest first, also while cut. */
    requests,
    cut: () => { isCut = true; for (const socket of open) socket.destroy(); open.clear(); },
    heal: () => { isCut = false; },
    silent: () => { isSilent = true; },
    /** Lets no WebSocket through, as some proxies do. */
    withoutSockets: () => { sockets = false; },
  };
}

/**
 * Headless Chromium with an empty profile folder (or `profile`, to start again with what an earlier run kept). `browser.kill()` ends it without
 * warning; `browser.quit()` as its user would.
 */
export async function startBrowser({ profile = emptyFolder(), args = [], deadlineMs = DEADLINE_MS } = {}) {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: apt-get install chromium`);
  const { default: puppeteer } = await import('puppeteer-core');
  const browser = await puppeteer.launch({
    executablePath: CHROMIUM, headless: true, userDataDir: profile, timeout: deadlineMs, protocolTimeout: deadlineMs * 2,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
      '--disable-sync', '--disable-dev-shm-usage', '--mute-audio', '--autoplay-policy=no-user-gesture-required', '--no-proxy-server', ...args],
  });
  const child = browser.process();
  const end = async (how) => {
    if (child.exitCode === null && child.signalCode === null) await how();
    await gone(child);
  };
  // Its helpers too, which are of its process group: what one of them still writes would be in the way of who removes the folder.
  const killAll = async () => { try { process.kill(-child.pid, 'SIGKILL'); } catch { child.kill('SIGKILL'); } };
  endWith(profile, () => end(killAll));
  return {
    profile,
    puppeteer: browser,
    /** A page at `url`, its errors collected in `page.problems`. */
    page: async (url, { context = browser, before } = {}) => {
      const page = await context.newPage();
      page.setDefaultTimeout(deadlineMs);
      page.problems = [];
      page.on('pageerror', (error) => page.problems.push(String(error.stack ?? error)));
      if (before) await before(page);
      if (url) await page.goto(url, { waitUntil: 'domcontentloaded' });
      return page;
    },
    /** A separate storage, as another device would have. */
    device: () => browser.createBrowserContext(),
    quit: () => end(() => browser.close()),
    kill: () => end(killAll),
  };
}
