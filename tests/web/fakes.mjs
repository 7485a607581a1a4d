// A browser in which the test moves the time, and a node that it can cut off: for leftoff.js without browser, network and waiting.
import { Leftoff } from '../../src/gateway/web/leftoff.js';

export const EVENING = 1_790_000_000_000;
const settle = async () => { for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve)); };

/** Virtual time. `skew` is what the device's clock is wrong by. */
export class Time {
  ms = 0;
  skew = 0;
  timers = new Map();
  next = 1;

  setTimeout = (act, wait = 0, ...args) => {
    this.timers.set(this.next, { due: this.ms + wait, act: () => act(...args) });
    return this.next++;
  };

  clearTimeout = (id) => this.timers.delete(id);

  async pass(ms) {
    const until = this.ms + ms;
    await settle();
    for (;;) {
      const due = [...this.timers].filter(([, timer]) => timer.due <= until).sort(([a, one], [b, other]) => one.due - other.due || a - b)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.ms = Math.max(this.ms, due[1].due);
      due[1].act();
      await settle();
    }
    this.ms = until;
    await settle();
  }
}

/** A node: keeps what it is sent, answers reads from `shown`, and speaks over the sockets that are opened to it. */
export class FakeNode {
  constructor(time) {
    this.time = time;
    this.reset();
  }

  reset() {
    Object.assign(this, { requests: [], batches: [], shown: new Map(), sockets: [], cut: false, silent: false, refuse: null, refuseJoin: null, sse: null, poll: null, hears: true });
  }

  get now() {
    return EVENING + this.time.ms;
  }

  get events() {
    return this.batches.flatMap(({ events }) => events);
  }

  take(body) {
    if (body.events.length) this.batches.push(body);
    const refused = this.refuse ? body.events.map((_, index) => ({ index, ...this.refuse })) : [];
    return { accepted: body.events.length - refused.length, refused, versions: {}, server_time_ms: this.now };
  }

  fetch = async (url, init = {}) => {
    const path = url.replace('http://node', '');
    this.requests.push({ path, ...init, at: this.time.ms });
    if (this.silent) return new Promise((_, reject) => init.signal?.addEventListener('abort', () => reject(init.signal.reason)));
    if (this.cut) throw new TypeError('failed');
    const answer = (body, status = 200) => ({ ok: status < 300, status, json: async () => body });
    if (path === '/v1/events') return answer(this.take(JSON.parse(init.body)));
    if (path.includes('/changes?')) return this.poll ? answer(await this.poll(path)) : answer({ code: 'not_found' }, 404);
    if (path.endsWith('/changes')) return this.sse ? { ok: true, body: this.sse(init) } : answer({ code: 'not_found' }, 404);
    const title = decodeURIComponent(/titles\/([^?]*)/.exec(path)[1]);
    return answer(this.shown.get(title) ?? progress(title, { started: false }));
  };

  WebSocket = (() => {
    const node = this;
    return class {
      constructor(url, protocol) {
        Object.assign(this, { url, protocol, readyState: 0, said: [] });
        node.sockets.push(this);
        queueMicrotask(() => (node.cut || !node.hears ? this.end() : ((this.readyState = 1), this.onopen())));
      }

      send(text) {
        const message = JSON.parse(text);
        this.said.push(message);
        if (node.cut || this.readyState !== 1) return;
        if (message.type === 'hello') queueMicrotask(() => this.tell({ type: 'welcome', server_time_ms: node.now, heartbeat_ms: 10_000, cursor: 'c0' }));
        if (message.type === 'events') queueMicrotask(() => this.tell({ type: 'ack', id: message.id, ...node.take(message) }));
        if (message.type === 'party.join' && node.refuseJoin) queueMicrotask(() => this.tell({ type: 'error', id: message.id, ...node.refuseJoin }));
        if (message.type === 'ping') queueMicrotask(() => this.tell({ type: 'pong', server_time_ms: node.now }));
      }

      tell(message) {
        if (this.readyState === 1) this.onmessage({ data: JSON.stringify(message) });
      }

      end() {
        if (this.readyState === 3) return;
        this.readyState = 3;
        this.onclose?.({});
      }

      close() {
        queueMicrotask(() => this.end());
      }
    };
  })();

  /** Pushes to all that are connected. */
  push(message) {
    for (const socket of this.sockets) socket.tell(message);
  }

  /** Cuts the line, also for those connected; `cutOff(false)` mends it. */
  cutOff(cut = true) {
    this.cut = cut;
    if (cut) for (const socket of this.sockets) socket.end();
  }
}

/** A register as a node shows it. */
export function progress(title_id, { version = 0, position_ms = 0, high_ms = position_ms, at_ms = 1, ...more } = {}) {
  const started = more.started ?? true;
  const places = started ? [{ version, position_ms: high_ms, touched_ms: at_ms }] : [];
  return {
    profile_id: 'ada', title_id, started, position_ms, version, high_ms, places, completed: false, furthest_ms: high_ms, state: 'paused', device_id: 'tv', speed: 1,
    at_ms, hidden: false, cursor: 'c1', ...more,
  };
}

/** As much of IndexedDB as is used; lives as long as the profile folder of a browser would. */
export function fakeIndexedDB() {
  const tables = new Map();
  const request = (result) => {
    const made = { result };
    queueMicrotask(() => made.onsuccess?.());
    return made;
  };
  const database = {
    createObjectStore: (name) => tables.set(name, new Map()),
    transaction: () => ({
      objectStore: (name) => ({
        put: (value) => void tables.get(name).set(value.id, structuredClone(value)),
        delete: (id) => void tables.get(name).delete(id),
        getAll: () => request([...tables.get(name).keys()].sort().map((id) => structuredClone(tables.get(name).get(id)))),
      }),
    }),
  };
  return {
    tables,
    open: () => {
      const made = request(database);
      if (!tables.size) queueMicrotask(() => {});
      const fresh = !tables.size;
      const { onsuccess } = made;
      return new Proxy(made, {
        set(target, key, value) {
          if (key === 'onupgradeneeded' && fresh) value();
          target[key] = value ?? onsuccess;
          return true;
        },
      });
    },
  };
}

/** Tabs that hear each other, and who holds which lock. */
export class Browser {
  channels = [];
  held = new Set();
  indexedDB = fakeIndexedDB();

  BroadcastChannel = (() => {
    const browser = this;
    return class {
      constructor(name) {
        this.name = name;
        browser.channels.push(this);
      }

      postMessage(data) {
        for (const other of browser.channels) {
          if (other !== this && other.name === this.name) queueMicrotask(() => other.onmessage?.({ data: structuredClone(data) }));
        }
      }

      close() {
        browser.channels = browser.channels.filter((other) => other !== this);
      }
    };
  })();

  locks = {
    request: (name, act) => {
      this.held.add(name);
      return act().then(() => this.held.delete(name));
    },
    query: async () => ({ held: [...this.held].map((name) => ({ name })) }),
  };
}

/** A page: a window and a document that a test can hide and leave. */
export class Page {
  constructor({ time = new Time(), node = new FakeNode(time), browser = new Browser(), options = {}, storage = true } = {}) {
    Object.assign(this, { time, node, browser });
    this.window = new EventTarget();
    this.window.localStorage = {};
    this.document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
    // Each page counts from its own start, as browsers do.
    const began = time.ms;
    this.sync = new Leftoff({
      url: 'http://node', deviceId: 'laptop', profileId: 'ada', ...options,
      env: {
        now: () => EVENING + time.ms + time.skew, mono: () => time.ms - began, random: () => 0.5,
        setTimeout: time.setTimeout, clearTimeout: time.clearTimeout, fetch: (...args) => (this.dead ? new Promise(() => {}) : node.fetch(...args)),
        WebSocket: node.WebSocket, window: this.window, document: this.document,
        BroadcastChannel: browser.BroadcastChannel, locks: browser.locks, indexedDB: storage ? browser.indexedDB : undefined, ...options.env,
      },
    });
  }

  hide() {
    this.document.visibilityState = 'hidden';
    this.document.dispatchEvent(new Event('visibilitychange'));
  }

  show() {
    this.document.visibilityState = 'visible';
    this.document.dispatchEvent(new Event('visibilitychange'));
  }

  /** As browsers do when a tab is closed: both, in this order. */
  close() {
    this.window.dispatchEvent(new Event('pagehide'));
    this.hide();
    this.dies();
  }

  /** Killed: no event, its locks and channels are gone. */
  dies() {
    this.dead = true;
    this.browser.held.clear();
    this.browser.channels = [];
    this.time.timers.clear();
  }
}

/** A video element that plays by virtual time. */
export class Video extends EventTarget {
  constructor(time, { duration = 5_400, ready = 4 } = {}) {
    super();
    Object.assign(this, { time, duration, readyState: ready, paused: true, ended: false, seeking: false, loop: false, playbackRate: 1, at: 0 });
  }

  get currentTime() {
    return this.at;
  }

  set currentTime(seconds) {
    this.at = seconds;
    this.ended = false;
    this.seeking = true;
    const seek = (this.seeks = (this.seeks ?? 0) + 1);
    this.say('seeking');
    queueMicrotask(() => {
      if (seek !== this.seeks) return;
      this.seeking = false;
      this.say('seeked');
    });
  }

  say(type) {
    this.dispatchEvent(new Event(type));
  }

  async play() {
    this.paused = false;
    this.say('play');
    this.say('playing');
  }

  pause() {
    if (this.paused) return;
    this.paused = true;
    this.say('pause');
  }

  /** Another source, or the same anew: it says no `pause`, and at `emptied` it has no length any more and stands at 0. */
  async load(duration = this.duration) {
    Object.assign(this, { duration: NaN, readyState: 0, paused: true, ended: false, seeking: false, at: 0, seeks: (this.seeks ?? 0) + 1 });
    await this.time.pass(0);
    this.say('emptied');
    await this.time.pass(50);
    Object.assign(this, { duration, readyState: 4 });
    this.say('loadedmetadata');
    await this.time.pass(50);
  }

  /** A quarter of a second of what it plays. */
  step() {
    if (this.paused || this.ended) return;
    this.at = Math.min(this.at + 0.25 * this.playbackRate, this.duration);
    this.ended = this.at >= this.duration;
    this.say('timeupdate');
    if (!this.ended) return;
    this.paused = true;
    this.say('pause');
    this.say('ended');
  }

  /** Plays on for a while, and others along with it. */
  async watch(seconds, others = []) {
    for (let step = 0; step < seconds * 4; step++) {
      await this.time.pass(250);
      for (const video of [this, ...others]) video.step();
    }
    await this.time.pass(0);
  }
}

/** Kinds and seconds, for short expectations. */
export const told = (events) => events.map(({ kind, position_ms }) => `${kind} ${position_ms / 1_000}`);
