// The page: reads what it is of, builds it, and follows it.
import { arrange, el, icon, lasting, position, say, timeOfDay, toggle } from './dom.js';
import { Graph } from './graph.js';
import { Party } from './party.js';
import { Player } from './player.js';
import { showMe } from './tour.js';
import { Reasons } from './why.js';
import { Leftoff } from '/leftoff.js';

const SCREENS = [
  { kind: 'tv', label: 'TV' },
  { kind: 'laptop', label: 'Laptop' },
  { kind: 'phone', label: 'Phone' },
];
const WHY_COUNT_MAX = 120;
// Lines of one kind that follow each other so closely become one.
const TOGETHER_MS = 15_000;
const TOGETHER_ARRIVAL_MS = 250;
// A difference that lasts no longer than an exchange takes is not worth a line.
const SHORT_MS = 400;

const byId = (id) => document.getElementById(id);
const world = await (await fetch('/page/world.json')).json();
const reasons = new Reasons(Object.fromEntries(SCREENS.map(({ kind, label }) => [deviceId(kind), label === 'TV' ? 'the TV' : `the ${label.toLowerCase()}`])));
/** What each region holds, by its name. */
const held = new Map();
const regions = new Map();
const players = [];
const party = new Party({ titleId: world.title_id, note, name: (player) => capital(reasons.device(player.deviceId)) });
let graph = null;
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function deviceId(kind) {
  return `page-${kind}`;
}

// ---- The log

const log = byId('why');
let lastLine = null;

function note({ tone, words, reason = '', key }, at = new Date()) {
  if (!words) return;
  if (lastLine && key && lastLine.key === key && at - lastLine.at < TOGETHER_MS) {
    say(lastLine.words, words);
    say(lastLine.time, timeOfDay(at));
    lastLine.at = at;
    return;
  }
  const time = el('time', {}, timeOfDay(at));
  const text = el('span', {}, words);
  log.prepend(el('div', { class: `entry ${tone}` }, time, el('span', { class: 'mark' }, icon(tone)), el('p', { class: 'words' }, text, reason ? el('span', { class: 'reason' }, ` ${reason}`) : '')));
  log.querySelector('.empty')?.remove();
  while (log.childElementCount > WHY_COUNT_MAX) log.lastChild.remove();
  lastLine = { key, at, words: text, time };
}

// ---- Regions and players

// Places are numbered in the order in which they were opened: people can read that.
function placeNumber(version) {
  const known = new Set([0]);
  for (const progress of held.values()) for (const place of progress.places) known.add(place.version);
  return [...known].sort((one, other) => one - other).indexOf(version) + 1;
}

async function buildRegions() {
  const clip = URL.createObjectURL(await (await fetch('/page/night-train.webm')).blob());
  const root = byId('regions');
  root.classList.toggle('single', !world.demo);
  world.regions.forEach((region, index) => {
    const screens = world.demo ? [SCREENS[index]] : SCREENS;
    const own = screens.map(({ kind, label }) => new Player({ Leftoff, region, kind, label, deviceId: deviceId(kind), world, clip, told }));
    players.push(...own);
    const pill = el('span', { class: 'pill' }, 'connecting');
    const at = el('span', { class: 'resume-at' }, '–');
    const about = el('span', { class: 'quiet small' }, 'nothing recorded yet');
    const back = el('p', { class: 'way-back', hidden: true }, 'Ways back:');
    const cutSwitch = world.demo ? toggle(`Cut ${region.name} off from the others`, (cut) => setLine(region.name, cut), { danger: true }) : null;
    const card = el(
      'article', { class: 'card region', 'data-region': region.name, 'aria-labelledby': `region-${index}` },
      el('div', { class: 'region-head' }, el('h2', { id: `region-${index}` }, el('span', { class: `hue hue-${index}`, 'aria-hidden': 'true' }), world.demo ? `Region ${region.name}` : 'This node'), pill),
      cutSwitch,
      el('div', { class: 'players' }, ...own.map((player) => player.element)),
      el('div', { class: 'resume' }, el('p', { class: 'resume-line' }, el('span', {}, world.demo ? `${region.name} resumes at` : 'Resume at'), at, about), back),
    );
    regions.set(region.name, { card, pill, at, about, back, chips: new Map(), cutSwitch, players: own });
    root.append(card);
  });
  for (const player of players) {
    party.add(player);
    player.onOffline = (own, on) => note(on
      ? { tone: 'cut', words: `${capital(reasons.device(own.deviceId))} is offline.`, reason: 'It plays on; its reports wait in the browser, with their age.' }
      : { tone: 'info', words: `${capital(reasons.device(own.deviceId))} is online again.`, reason: 'What waited goes out now, and counts in the place where it was watched.' });
    player.onClock = (own, words) => note({ tone: 'info', words: `${capital(reasons.device(own.deviceId))}'s clock is ${words}.`, reason: 'Its reports carry when they were sent by the same clock, so the node knows their age; nobody can park a position in the future.' });
  }
}

// ---- Reports, and what they mean

/** What its region held when a report was sent. */
const heldAtSending = new WeakMap();
/** The last report that a region's own player sent. */
const lastSent = new Map();

function told(player, { sent, kept, version }) {
  const event = sent ?? kept;
  if (event.title_id !== world.title_id) return;
  const region = player.region.name;
  const now = held.get(region) ?? null;
  const place = version ?? event.version;
  if (place > 0 && (event.kind === 'SEEK' || event.restart)) reasons.noteMove(place, event);
  if (sent) {
    heldAtSending.set(sent, now);
    lastSent.set(region, { version: place, position_ms: event.position_ms });
    return;
  }
  // The region's change may be heard of before its answer, or after it.
  const own = { ...now, started: true, version: place, high_ms: event.position_ms, position_ms: event.position_ms, places: [] };
  note(reasons.report({ ...event, version: place }, heldAtSending.get(kept) ?? null, now && now.version >= place ? now : own, differs(region) ? region : undefined));
}

// What a region's own player reported is told with the report; only what came from elsewhere is told as an arrival. Regions that learn of the
// same thing at about the same time share a line.
let arriving = null;

const marked = (progress) => progress.places.map((place) => `${place.version} ${place.position_ms}`).join();

function arrived(name, before, after) {
  const mark = marked(after);
  if (marked(before) === mark) return;
  const last = lastSent.get(name);
  if (last && last.version === after.version && Math.abs(last.position_ms - after.high_ms) < 1_000) return;
  if (arriving?.mark === mark) {
    if (!arriving.names.includes(name)) arriving.names.push(name);
    return;
  }
  flushArrival();
  arriving = { mark, names: [name], before, after, at: new Date(), timer: setTimeout(flushArrival, TOGETHER_ARRIVAL_MS) };
}

function flushArrival() {
  if (!arriving) return;
  const { names, before, after, at, timer } = arriving;
  clearTimeout(timer);
  arriving = null;
  note(reasons.arrival(names, before, after) ?? {}, at);
}

/** The button that leads back to a place, one for as long as there is such a place. */
function wayBack(region, { version, position_ms }) {
  const [player] = region.players;
  let chip = region.chips.get(version);
  if (!chip) {
    chip = el('button', { type: 'button', class: 'chip', click: () => player.seek(Number(chip.dataset.ms)) });
    region.chips.set(version, chip);
  }
  chip.dataset.ms = position_ms;
  chip.setAttribute('aria-label', `Seek to ${position(position_ms)} on ${player.label}`);
  say(chip, position(position_ms));
  return chip;
}

function show(name, progress) {
  const region = regions.get(name);
  const before = held.get(name);
  held.set(name, progress);
  say(region.at, progress.started ? position(progress.position_ms) : '0:00');
  say(region.about, progress.started ? `place ${placeNumber(progress.version)}, opened by ${reasons.opener(progress.version)}` : 'nothing recorded yet');
  const others = progress.places.filter((place) => place.version !== progress.version);
  const focused = document.activeElement;
  arrange(region.back, others.map((place) => wayBack(region, place)));
  region.back.hidden = others.length === 0;
  for (const version of region.chips.keys()) if (!others.some((place) => place.version === version)) region.chips.delete(version);
  // The way back that somebody stood on is gone: they are not sent to the top of the page.
  if (focused.matches('.chip') && !focused.isConnected) region.players[0].playButton.focus();
  for (const player of region.players) player.showPlaces(progress);
  if (before && world.demo) arrived(name, before, progress);
}

// ---- The demo: three regions

let state = null;
let apartSince = null;

async function post(path, body) {
  await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
}

async function setLine(name, cut) {
  regions.get(name).cutSwitch.set(cut);
  await post('/demo/lines', { region: name, cut });
}

function follow() {
  const events = new EventSource('/demo/events');
  events.onmessage = ({ data }) => showState(JSON.parse(data));
  events.onerror = () => { setOverall('bad', 'the demo has ended'); };
}

function showState(next) {
  const last = state;
  state = next;
  for (const region of next.regions) {
    const before = last?.regions.find((own) => own.name === region.name);
    if (before && before.cut !== region.cut) {
      // What arrived before is told before.
      flushArrival();
      note(region.cut
        ? { tone: 'cut', words: `Region ${region.name} is cut off.`, reason: 'It goes on serving its viewers with what it knows; nobody waits for anybody.' }
        : { tone: 'info', words: `Region ${region.name} is reached again.`, reason: 'Both sides send what the other lacks, and join.' });
    }
    show(region.name, region.progress);
    const view = regions.get(region.name);
    view.cutSwitch.set(region.cut);
    view.card.classList.toggle('cut', region.cut);
  }
  graph.show(next, performance.now(), placeNumber);
  const apart = next.pairs.filter((pair) => !pair.equal);
  if (apart.length > 0) apartSince ??= performance.now() - Math.max(...apart.map((pair) => pair.since_ms));
  if (apart.length === 0 && apartSince !== null) {
    const lasted = performance.now() - apartSince - Math.min(...next.pairs.map((pair) => pair.since_ms));
    if (lasted > SHORT_MS) note(reasons.agreement(lasted, next.regions[0].progress));
    apartSince = null;
  }
  telling(next.telling);
  tick();
}

const isApart = () => apartSince !== null && performance.now() - apartSince > SHORT_MS;
const differs = (name) => isApart() && state.pairs.some((pair) => !pair.equal && (pair.one === name || pair.other === name));

function tick() {
  if (!state) return;
  const now = performance.now();
  graph.tick(now);
  const apart = isApart();
  for (const region of state.regions) {
    const { card, pill } = regions.get(region.name);
    const differing = differs(region.name);
    card.classList.toggle('apart', differing);
    pill.className = region.cut ? 'pill bad' : differing ? 'pill warn' : 'pill good';
    say(pill, region.cut ? 'cut off' : differing ? 'apart' : 'in step');
  }
  const cut = state.regions.filter((region) => region.cut).map((region) => region.name);
  if (apart) setOverall('warn', 'the regions differ');
  else setOverall(cut.length > 0 ? 'bad' : 'good', cut.length > 0 ? `${cut.join(' and ')} cut off, all the same so far` : 'all three regions agree');
  say(byId('agreement-word'), apart ? `apart for ${lasting(Math.floor((now - apartSince) / 100) * 100)}` : 'compared whole, not only the position');
}

function setOverall(tone, words) {
  const overall = byId('overall');
  overall.className = `pill ${tone}`;
  say(overall, words);
}

function telling(on) {
  const line = byId('tour');
  byId('show-me').disabled = on || touring;
  if (on && line.hidden) {
    line.hidden = false;
    line.replaceChildren('The terminal is telling its story with these regions, and cuts lines by itself.', el('button', { type: 'button', class: 'button', click: () => post('/demo/take-over', {}) }, 'Take over'));
  } else if (!on && !touring) {
    fold(line);
  }
}

// Who stood on its button goes on where the next one is.
function fold(line) {
  const within = line.contains(document.activeElement);
  line.hidden = true;
  if (within) byId('show-me').focus();
}

let touring = false;

async function show20() {
  const line = byId('tour');
  const [button, stop] = [byId('show-me'), new AbortController()];
  const [count, text] = [el('span', { class: 'step' }), el('span', {})];
  const end = el('button', { type: 'button', class: 'button', click: () => stop.abort() }, 'Stop');
  const tell = (words, step) => { say(count, step); say(text, words); };
  touring = true;
  line.replaceChildren(count, text, end);
  line.hidden = false;
  if (document.activeElement === button) end.focus();
  button.disabled = true;
  try {
    await showMe({ players, setLine, say: tell, stop: stop.signal, held: (name) => held.get(name), agree: () => apartSince === null, mark: (name) => {
      for (const [own, { card }] of regions) card.classList.toggle('shown', own === name);
    } });
  } finally {
    touring = false;
    button.disabled = false;
    fold(line);
  }
}

// ---- One node

async function followNode() {
  const path = `/v1/profiles/${encodeURIComponent(world.profile_id)}`;
  const [region] = world.regions;
  const read = async () => {
    const answer = await fetch(`${path}/titles/${encodeURIComponent(world.title_id)}`, { cache: 'no-store' });
    const progress = await answer.json();
    show(region.name, progress);
    return progress.cursor;
  };
  const since = await read();
  const { pill } = regions.get(region.name);
  const changes = new EventSource(`${path}/changes?since=${encodeURIComponent(since)}`);
  const up = () => { pill.className = 'pill good'; say(pill, 'serving'); setOverall('good', 'one node'); };
  changes.onopen = up;
  changes.onerror = () => { pill.className = 'pill bad'; say(pill, 'not reached'); setOverall('bad', 'the node is not reached'); };
  const changed = ({ data }) => {
    const progress = JSON.parse(data);
    if (progress.title_id === world.title_id) show(region.name, progress);
  };
  for (const type of ['progress', 'hidden']) changes.addEventListener(type, changed);
  // Nothing is told of what is no more. A node that cannot be asked shows by the line itself.
  for (const type of ['erased', 'reset']) changes.addEventListener(type, () => read().catch(() => {}));
}

// ---- Put together

const empty = (words) => log.append(el('p', { class: 'empty' }, words));

if (world.demo) {
  byId('intro-text').append('Play the TV, pause it, and press play on another screen: it resumes at the same second. Then cut a region off, watch on both sides, and heal it. Each screen talks to the node of its own region.');
  empty('Nothing yet. Press play on the TV.');
  byId('actions').append(el('button', { type: 'button', class: 'button main', id: 'show-me', click: show20 }, icon('play'), 'Show me, in half a minute'));
} else {
  byId('intro-text').append('Play the TV, pause it, and press play on another screen: it resumes at the same second. This is one node; to see three regions that can be cut off from each other, run ', el('code', {}, 'leftoff demo'), '.');
  byId('agreement').remove();
  document.querySelector('.below').classList.add('alone');
  empty('Nothing yet. Press play on the TV.');
}
await buildRegions();
if (world.demo) {
  const names = world.regions.map((region) => region.name);
  graph = new Graph(byId('graph'), names, [[0, 1], [1, 2], [0, 2]].map(([one, other]) => ({ one: names[one], other: names[other] })));
  follow();
  setInterval(tick, 200);
} else {
  await followNode();
}
byId('foot').append(
  el('span', {}, 'Everything here is this machine’s own; nothing is loaded from elsewhere.'),
  ...world.regions.filter((region) => region.admin_url).map((region) => el('a', { href: region.admin_url }, `operator’s view of ${region.name}`)),
);
window.leftoffPage = { players, held };
