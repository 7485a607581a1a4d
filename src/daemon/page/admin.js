// The operator's view: reads what the node says of itself every second, and shows it.
import { el, lasting, say, svg } from './dom.js';
import { amount, bytes, count, quantile, refused, samples, sum } from './figures.js';

const EVERY_MS = 1_000;
const HISTORY_COUNT = 60;
const byId = (id) => document.getElementById(id);

let last = null;

// ---- Tiles: a figure, and its last minute

class Tile {
  #history = [];

  constructor(name, unit = '') {
    this.value = el('span', {});
    this.note = el('p', { class: 'note' });
    this.area = svg('path', { class: 'area' });
    this.stroke = svg('path', { class: 'stroke' });
    const drawing = svg('svg', { viewBox: '0 0 100 34', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.area, this.stroke);
    byId('figures').append(el('article', { class: 'card tile' }, el('h2', { class: 'name' }, name), el('p', { class: 'value' }, this.value, unit && el('small', {}, ` ${unit}`)), this.note, drawing));
  }

  show(number, words, note = '') {
    say(this.value, words);
    say(this.note, note);
    this.#history.push(number ?? 0);
    if (this.#history.length > HISTORY_COUNT) this.#history.shift();
    const most = Math.max(...this.#history, 1e-9);
    const points = this.#history.map((value, index) => `${(100 - ((this.#history.length - 1 - index) * 100) / (HISTORY_COUNT - 1)).toFixed(2)} ${(32 - (value / most) * 28).toFixed(2)}`);
    this.stroke.setAttribute('d', `M${points.join('L')}`);
    const left = points[0].split(' ')[0];
    this.area.setAttribute('d', `M${points.join('L')}L100 34L${left} 34Z`);
  }
}

const tiles = {
  events: new Tile('Events kept', 'a second'),
  requests: new Tile('Requests', 'a second'),
  latency: new Tile('Answered within, p99'),
  lag: new Tile('Furthest behind', 'records'),
  sockets: new Tile('Connected'),
  traffic: new Tile('Between nodes', 'a second'),
};

function showTiles(now) {
  const seconds = last ? Math.max((now.at - last.at) / 1000, 0.001) : 1;
  const rate = (name, passes) => (last ? Math.max(0, (sum(now.samples, name, passes) - sum(last.samples, name, passes)) / seconds) : 0);
  const accepted = rate('leftoff_events_accepted_total');
  tiles.events.show(accepted, amount(accepted), `${amount(sum(now.samples, 'leftoff_events_accepted_total'))} since the start`);
  // This page's own requests are of the same process.
  const served = (labels) => labels.route.startsWith('/v1/') && !['/v1/status', '/v1/cluster'].includes(labels.route);
  const requests = rate('leftoff_http_request_duration_seconds_count', served);
  const failed = rate('leftoff_http_request_duration_seconds_count', (labels) => served(labels) && labels.code.startsWith('5'));
  tiles.requests.show(requests, amount(requests), failed > 0 ? `${amount(failed)} a second failed` : 'none failed');
  const histogram = 'leftoff_http_request_duration_seconds';
  const own = (all) => all.filter(({ name, labels }) => name === `${histogram}_bucket` && served(labels));
  const p99 = last ? quantile(own(last.samples), own(now.samples), histogram, 0.99) : null;
  tiles.latency.show((p99 ?? 0) * 1000, p99 === null ? '–' : p99 === Infinity ? 'over 10 s' : lasting(p99 * 1000), p99 === null ? 'nothing asked' : 'upper bound of its bucket');
  const { links } = now.status;
  const nodes = links.filter((link) => link.role === 'node');
  const furthest = nodes.reduce((most, link) => (!most || link.lag_records > most.lag_records ? link : most), null);
  tiles.lag.show(furthest?.lag_records ?? 0, furthest ? amount(furthest.lag_records) : '–', furthest ? (furthest.lag_records > 0 ? furthest.peer : 'every peer has everything') : 'no peer linked');
  const devices = links.filter((link) => link.role === 'device').length;
  const sockets = sum(now.samples, 'leftoff_push_readers');
  tiles.sockets.show(sockets + devices, amount(sockets + devices), `${count(sockets, 'listener')}, ${count(devices, 'device')}`);
  const moved = (status) => status.links.reduce((total, link) => total + link.bytes_in + link.bytes_out, 0);
  const traffic = last ? Math.max(0, (moved(now.status) - moved(last.status)) / seconds) : 0;
  tiles.traffic.show(traffic, bytes(traffic), count(nodes.filter((link) => GOOD.includes(link.state)).length, 'open link'));
}

// ---- Nodes and links

const GOOD = ['open', 'reconciling'];
const cell = (text, properties = {}) => el('td', properties, text);
const number = (text, hot = false, name) => cell(text, { class: hot ? 'number hot' : 'number', 'data-name': name });

function linkRow(link, before, seconds) {
  const rate = (key) => (before ? Math.max(0, (link[key] - before[key]) / seconds) : 0);
  const up = GOOD.includes(link.state);
  return el(
    'tr', {},
    el('td', {}, el('strong', {}, link.peer || 'unknown'), el('span', { class: 'under' }, [link.role, link.region, link.address].filter(Boolean).join(' · '))),
    el('td', {}, el('span', { class: `pill ${up ? 'good' : 'warn'}` }, link.state)),
    number(lasting(link.rtt_ms), false, 'Round trip'),
    number(link.clock_offset_ms === null ? '–' : `${link.clock_offset_ms > 0 ? '+' : ''}${link.clock_offset_ms} ms`, Math.abs(link.clock_offset_ms ?? 0) > 1_000, 'Clock'),
    number(amount(link.lag_records), link.lag_records > 10_000, 'Lag'),
    number(bytes(link.in_flight_bytes), false, 'In flight'),
    number(`${amount(rate('records_in'))}/s`, false, 'Records in'),
    number(`${bytes(rate('bytes_in'))}/s`, false, 'Bytes in'),
    number(`${bytes(rate('bytes_out'))}/s`, false, 'Bytes out'),
    number(amount(link.refused_in + link.refused_out), link.refused_in + link.refused_out > 0, 'Refused'),
  );
}

function memberRow(member) {
  return el(
    'tr', {},
    el('td', {}, el('strong', {}, member.address), el('span', { class: 'under' }, member.seed ? 'seed' : 'learned from a peer'), member.last_error && el('span', { class: 'error' }, member.last_error)),
    el('td', { colspan: '9' }, el('span', { class: 'pill bad' }, 'not reached')),
  );
}

function showLinks(now) {
  const { status } = now;
  const seconds = last ? Math.max((now.at - last.at) / 1000, 0.001) : 1;
  const nodes = status.links.filter((link) => link.role !== 'device');
  const before = (link) => last?.status.links.find((own) => own.address === link.address && own.replica_id === link.replica_id && own.dialed === link.dialed);
  const rows = nodes.map((link) => linkRow(link, before(link), seconds));
  const missing = status.members.filter((member) => !member.linked);
  rows.push(...missing.map(memberRow));
  if (rows.length === 0) rows.push(el('tr', {}, el('td', { class: 'none', colspan: '10' }, 'No peers: this node stands alone. Others are named in cluster.seeds.')));
  byId('links').tBodies[0].replaceChildren(...rows);
  const devices = status.links.length - nodes.length;
  say(byId('nodes-word'), `${count(nodes.length, 'node')} linked, ${missing.length} not reached, ${count(devices, 'device')}`);
}

// ---- Store and queues

const fills = new Map();

function fill(name, value, most, note) {
  if (!fills.has(name)) {
    const words = el('span', {});
    const meter = el('meter', { min: '0', max: '1', low: '0.7', high: '0.9', optimum: '0', 'aria-label': name });
    byId('fills').append(el('div', { class: 'fill' }, el('p', { class: 'words' }, el('span', {}, name), words), meter));
    fills.set(name, { words, meter });
  }
  const { words, meter } = fills.get(name);
  say(words, note);
  meter.value = most > 0 ? Math.min(value / most, 1) : 0;
}

function showStore(now) {
  const { store } = now.status;
  fill('Table of changed registers', store.table_bytes, store.table_bytes_max, `${bytes(store.table_bytes)} of ${bytes(store.table_bytes_max)}, ${count(store.table_registers, 'register')}`);
  fill('Waiting for a flush', store.pending_bytes, store.pending_bytes_max, `${bytes(store.pending_bytes)} of ${bytes(store.pending_bytes_max)}`);
  fill('Log since the last fold', store.log_unfolded_bytes, store.fold_log_bytes, `${bytes(store.log_unfolded_bytes)}; a fold begins at ${bytes(store.fold_log_bytes)}`);
  fill('Ring of changes for peers', store.ring_changes, store.ring_changes_max, `${amount(store.ring_changes)} of ${amount(store.ring_changes_max)}; older ones are read from disk`);
  fill('Playheads remembered', now.status.playheads, now.status.playheads_max, `${amount(now.status.playheads)} of ${amount(now.status.playheads_max)}`);
  say(byId('store-word'), store.closed ? 'closed after a failed write' : 'taking writes');
  const facts = [
    ['Log on disk', `${bytes(store.log_bytes)} in ${count(store.log_segments, 'segment')}`],
    ['Last durable number', amount(store.durable)],
    ['Not yet in the database', count(Math.max(0, store.durable - store.folded), 'change')],
    ['Folds', amount(store.folds)],
  ];
  byId('store').replaceChildren(...facts.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
}

function showRefused(now) {
  const seconds = last ? Math.max((now.at - last.at) / 1000, 0.001) : 1;
  const [counts, before] = [refused(now.samples), last ? refused(last.samples) : {}];
  const rows = Object.entries(counts).sort(([, one], [, other]) => other - one).map(([reason, count]) => {
    const rate = last ? Math.max(0, (count - (before[reason] ?? 0)) / seconds) : 0;
    return el('tr', {}, cell(reason), number(amount(count)), number(`${amount(rate)}/s`, rate > 0));
  });
  if (rows.length === 0) rows.push(el('tr', {}, el('td', { class: 'none', colspan: '3' }, 'Nothing was refused.')));
  byId('refused').tBodies[0].replaceChildren(...rows);
}

// ---- The loop

function showHead({ status }) {
  const { node } = status;
  byId('who').replaceChildren(el('strong', {}, node.name), ` in region ${node.region}, leftoff ${status.version}, up for ${status.uptime_s < 60 ? `${status.uptime_s} s` : lasting(status.uptime_s * 1000)}`);
  document.title = `${node.name}: leftoff`;
  const pill = byId('ready');
  pill.className = status.ready ? 'pill good' : 'pill bad';
  say(pill, status.ready ? 'ready' : 'not ready');
  const reasons = byId('reasons');
  reasons.hidden = status.reasons.length === 0;
  reasons.replaceChildren(...status.reasons.map((reason) => el('li', {}, reason)));
}

async function look() {
  const [status, metrics] = await Promise.all([fetch('/v1/status'), fetch('/metrics')]);
  if (!status.ok || !metrics.ok) throw new Error(`answered ${status.status} and ${metrics.status}`);
  const now = { at: performance.now(), status: await status.json(), samples: samples(await metrics.text()) };
  showHead(now);
  showTiles(now);
  showLinks(now);
  showStore(now);
  showRefused(now);
  last = now;
}

async function run() {
  for (;;) {
    try {
      if (!document.hidden) await look();
    } catch {
      const pill = byId('ready');
      pill.className = 'pill bad';
      say(pill, 'not reached');
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

run();
