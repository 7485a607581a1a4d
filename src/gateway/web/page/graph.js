// The three regions as a triangle: who agrees with whom, and below it, for how long they differed in the last minutes.
import { el, lasting, position, say, svg } from './dom.js';

const WIDTH = 560;
const HEIGHT = 330;
const BOX = { width: 132, height: 82 };
const PLACES = [{ x: 280, y: 48 }, { x: 84, y: 272 }, { x: 476, y: 272 }];
/** What the lanes show, in milliseconds. */
const SPAN_MS = 120_000;
// A difference that lasts no longer than an exchange takes is not worth a colour.
const SHORT_MS = 400;

/** Draws into `root`; `regions` are their names. */
export class Graph {
  #nodes = new Map();
  #edges = new Map();
  #lanes = new Map();

  constructor(root, regions, pairs) {
    const drawing = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-labelledby': 'graph-told' }, svg('title', { id: 'graph-told' }));
    this.told = drawing.querySelector('title');
    const places = new Map(regions.map((name, index) => [name, PLACES[index]]));
    for (const pair of pairs) drawing.append(this.#edge(pair, places.get(pair.one), places.get(pair.other)));
    regions.forEach((name, index) => drawing.append(this.#node(name, index)));
    const lanes = el('div', { class: 'lanes', 'aria-hidden': 'true' });
    for (const pair of pairs) {
      const strip = el('span', { class: 'strip' });
      lanes.append(el('div', { class: 'lane' }, el('span', {}, `${pair.one} and ${pair.other}`), strip));
      this.#lanes.set(key(pair), { strip, spans: [] });
    }
    root.replaceChildren(drawing, lanes, el('div', { class: 'axis', 'aria-hidden': 'true' }, el('span', {}, '2 minutes ago'), el('span', {}, 'differed'), el('span', {}, 'now')));
  }

  #node(name, index) {
    const { x, y } = PLACES[index];
    const at = svg('text', { class: 'at', x, y: y + 12, 'text-anchor': 'middle' });
    const note = svg('text', { class: 'note', x, y: y + 30, 'text-anchor': 'middle' });
    const node = svg(
      'g', { class: 'node' },
      svg('rect', { class: 'box', x: x - BOX.width / 2, y: y - BOX.height / 2, width: BOX.width, height: BOX.height, rx: 14 }),
      svg('rect', { class: `hue-${index}`, x: x - BOX.width / 2 + 13, y: y - 28, width: 11, height: 11, rx: 3.5 }),
      svg('text', { class: 'name', x: x - BOX.width / 2 + 31, y: y - 18 }, name), at, note,
    );
    this.#nodes.set(name, { node, at, note });
    return node;
  }

  #edge(pair, from, to) {
    const line = svg('line', { class: 'edge', x1: from.x, y1: from.y, x2: to.x, y2: to.y });
    const [x, y] = [(from.x + to.x) / 2, (from.y + to.y) / 2];
    const back = svg('rect', { x: x - 78, y: y - 14, width: 156, height: 28, rx: 14 });
    const text = svg('text', { x, y: y + 4.5, 'text-anchor': 'middle' });
    const label = svg('g', { class: 'label' }, back, text);
    this.#edges.set(key(pair), { line, label, text, back, x });
    return svg('g', {}, line, label);
  }

  /** Shows a state of the demo, `now` by the page's steady clock. */
  show(state, now, placeNumber) {
    for (const region of state.regions) {
      const { node, at, note } = this.#nodes.get(region.name);
      node.classList.toggle('cut', region.cut);
      say(at, region.progress.started ? position(region.progress.position_ms) : 'nothing yet');
      say(note, region.cut ? 'cut off' : region.progress.started ? `place ${placeNumber(region.progress.version)}` : '');
    }
    for (const pair of state.pairs) {
      const spans = this.#lanes.get(key(pair)).spans;
      const open = spans.at(-1)?.until === null ? spans.at(-1) : null;
      if (!pair.equal && !open) spans.push({ from: now - pair.since_ms, until: null });
      if (pair.equal && open) open.until = now - pair.since_ms;
    }
    this.state = state;
    this.shownAt = now;
    this.tick(now);
  }

  /** Moves on what depends on time alone. */
  tick(now) {
    if (!this.state) return;
    const told = [];
    for (const pair of this.state.pairs) {
      const { line, label, text, back, x } = this.#edges.get(key(pair));
      const lasted = pair.since_ms + now - this.shownAt;
      const apart = !pair.equal && lasted > SHORT_MS;
      const severed = this.state.regions.some((region) => region.cut && (region.name === pair.one || region.name === pair.other));
      line.classList.toggle('differ', apart);
      line.classList.toggle('severed', severed);
      label.classList.toggle('differ', apart);
      say(text, apart ? `differ for ${lasting(Math.floor(lasted / 100) * 100)}` : pair.differed_ms === null ? 'the same' : `same again in ${lasting(pair.differed_ms)}`);
      const width = text.getComputedTextLength() + 26;
      back.setAttribute('x', x - width / 2);
      back.setAttribute('width', width);
      told.push(`${pair.one} and ${pair.other} ${apart ? 'differ' : 'hold the same'}`);
      this.#draw(this.#lanes.get(key(pair)), now);
    }
    say(this.told, `${told.join(', ')}.`);
  }

  #draw(lane, now) {
    lane.spans = lane.spans.filter((span) => (span.until ?? now) > now - SPAN_MS);
    const long = lane.spans.filter((span) => (span.until ?? now) - span.from > SHORT_MS);
    while (lane.strip.childElementCount > long.length) lane.strip.lastChild.remove();
    while (lane.strip.childElementCount < long.length) lane.strip.append(el('i'));
    long.forEach((span, index) => {
      const left = Math.max(0, 1 - (now - span.from) / SPAN_MS);
      const right = Math.max(0, (now - (span.until ?? now)) / SPAN_MS);
      Object.assign(lane.strip.children[index].style, { left: `${left * 100}%`, right: `${right * 100}%` });
    });
  }
}

const key = (pair) => `${pair.one} ${pair.other}`;
