/**
 * leftoff.js: keeps people's place. Resume, follow and report playback against a leftoff node; the guide is docs/web.md.
 * One ES module, no dependencies, no build step. Licence: MIT OR Apache-2.0.
 */

const STEP_MS = 60_000; // A jump by more than this is a deliberate move.
const MINUTES_10 = 600_000;
const KEEP_OWN_MS = 60_000; // Own reports are laid over reads for this long after they were kept: another node may not have them yet.
const BODY_BYTES_MAX = 60_000; // Below the 64 KiB of a frame, and of what may be sent while a page goes.

const STATES = { PLAY: 'playing', HEARTBEAT: 'playing', PAUSE: 'paused', SEEK: 'seeking', STOP: 'stopped', END: 'ended' };
const { max, min, abs, floor, round } = Math;

// ---- Stamps: Unix ms * 1024 + counter. Numbers below 2^53, so never shifted, which would cut them to 32 bits.

const STAMP_MAX = Number.MAX_SAFE_INTEGER;
const stampOf = (ms) => min(ms * 1024, STAMP_MAX);
const wallOf = (stamp) => floor(stamp / 1024);
const shifted = (stamp, ms) => stamp && min(max(stamp + ms * 1024, 1), STAMP_MAX);

// ---- Places, newest first: {version, position_ms, touched, ended}. Inside one the position only grows.

function joinPlace(places, place) {
  const same = places.find((own) => own.version === place.version);
  const joined = same
    ? { ...same, position_ms: max(same.position_ms, place.position_ms), touched: max(same.touched, place.touched), ended: same.ended || place.ended }
    : place;
  return [...places.filter((own) => own !== same), joined].sort((one, other) => other.version - one.version).slice(0, 8);
}

const completes = (place, durationMs) => place.ended || (durationMs > 0 && place.position_ms * 100 >= durationMs * 95);
const NOWHERE = { version: 0, position_ms: 0, touched: 0, ended: false };
const best = (all, better) => all.reduce((one, other) => (one && !better(other, one) ? one : other), null);
// A place opened after the event cannot be the event's.
const placesUntil = (view, stamp) => view.places.filter((place) => place.version <= stamp);

function resumedPlace(view, position, stamp) {
  const places = placesUntil(view, stamp);
  const far = (place) => abs(place.position_ms - position);
  const near = best(places.filter((place) => far(place) <= STEP_MS), (place, best) => far(place) < far(best));
  const ahead = places.length ? position - places[0].position_ms : -1;
  return near ?? (ahead >= 0 && ahead <= MINUTES_10 ? places[0] : null);
}

function startPlace(view, position, stamp) {
  const places = placesUntil(view, stamp);
  const below = () => best(places.filter((place) => place.position_ms <= position), (place, best) => place.position_ms > best.position_ms);
  return resumedPlace(view, position, stamp) ?? below() ?? places.at(-1) ?? NOWHERE;
}

// ---- The playhead

/**
 * The state machine of one device in one title: turns its reports into places. The twin of `Playhead` in the node's source; both are held to
 * one table of cases. Pure: time, the next stamp and what the register shows are passed in.
 */
export class Playhead {
  /** A playhead in a place that is known. */
  constructor(version, at, reached = 0) {
    Object.assign(this, { version, reached, ended: false, last: null, steppedBack: false, rewatchFrom: null, playingSince: null });
    Object.assign(this, { newest: version, newestTouched: 0, started: at, trail: [], recent: [] });
  }

  /** A playhead where a device's first report belongs (rule 1). `live` is the next stamp if the event is younger than 60 s, else null. */
  static start(event, at, live, view) {
    const place = startPlace(view, event.position_ms, live ?? Playhead.derived(event, at));
    const playhead = new Playhead(place.version, at, place.position_ms);
    playhead.look(view);
    return playhead;
  }

  /** The stamp of an event that is not live. */
  static derived(event, at) {
    return stampOf(at);
  }

  /** Takes a report. Answers the place it counts in, and what it changes there: null for a repeat. */
  report(event, at, live, view) {
    if (view) this.look(view);
    if (this.repeats(event)) return this.nothing(at);
    const { last } = this;
    const inOrder = !last || at >= last.at;
    const stamp = (inOrder && live) || Playhead.derived(event, at);
    if (!inOrder) return this.late(event, at, stamp, view);
    if (this.isIdle(event)) {
      if (!last) this.remember(event, at, stamp);
      return this.nothing(at);
    }
    const touched = last ? max(stamp, min(last.stamp + 1, STAMP_MAX)) : stamp;
    if (event.kind === 'PLAY' && !event.restart) this.play(event, at, stamp, view);
    if (this.isMove(event, at) || this.takesOver(event, at)) {
      this.enter(at, this.above(this.version, stamp), event.position_ms);
      this.newest = max(this.newest, this.version);
    } else if (event.kind === 'SEEK') {
      this.steppedBack ||= event.position_ms < (last ? last.position_ms : this.reached);
    }
    this.playingSince = STATES[event.kind] === 'playing' ? (this.stillPlaying(at) ?? at) : null;
    this.remember(event, at, touched);
    this.reached = max(this.reached, event.position_ms);
    this.ended ||= event.kind === 'END';
    if (event.position_ms >= this.reached) this.steppedBack = false;
    if (event.kind === 'STOP') this.rewatchFrom = null; // Closed before it went on: a failed start.
    return this.counted(event, touched, this.version, this.steppedBack);
  }

  /** Goes on in a place that another device opened: for a player that was moved there. */
  enter(at, version, reached) {
    this.leave({ until: at, version: this.version, position_ms: this.last ? this.last.position_ms : this.reached });
    Object.assign(this, { version, reached, ended: false, steppedBack: false, rewatchFrom: null, playingSince: null });
  }

  /** The same playhead by a clock that is `ms` ahead of its own; versions that `own` says its clock made move too. */
  restamp(ms, own) {
    const moved = (version) => (own(version) ? shifted(version, ms) : version);
    this.version = moved(this.version);
    this.newest = moved(this.newest);
    this.started += ms;
    if (this.last) Object.assign(this.last, { at: this.last.at + ms, stamp: shifted(this.last.stamp, ms) });
    if (this.playingSince !== null) this.playingSince += ms;
    for (const left of this.trail) Object.assign(left, { until: left.until + ms, version: moved(left.version) });
  }

  look(view) {
    const newest = view.places[0] ?? NOWHERE;
    this.newest = newest.version;
    this.newestTouched = newest.touched;
    const own = view.places.find((place) => place.version === this.version);
    if (own) this.reached = max(this.reached, own.position_ms);
  }

  // A retry equals one of the last 32 in kind, position and its own time.
  repeats({ kind, position_ms, at_ms }) {
    if (at_ms == null) return false;
    const told = `${kind} ${position_ms} ${at_ms}`;
    if (this.recent.includes(told)) return true;
    if (this.recent.push(told) > 32) this.recent.shift();
    return false;
  }

  above(version, stamp) {
    return max(min(version + 1, STAMP_MAX), stamp);
  }

  leftAt(at) {
    return this.trail.find((left) => at < left.until);
  }

  leave(left) {
    const after = this.trail.findIndex((other) => other.until > left.until);
    this.trail.splice(after < 0 ? this.trail.length : after, 0, left);
    if (this.trail.length > 4) this.trail.shift();
  }

  nothing(at) {
    return { version: (this.leftAt(at) ?? this).version, delta: null };
  }

  counted(event, touched, version, stepped_back) {
    return { version, delta: { version, position_ms: event.position_ms, touched, ended: event.kind === 'END', stepped_back } };
  }

  remember({ position_ms, kind, speed }, at, stamp) {
    this.last = { position_ms, at, stamp, state: STATES[kind], speed: Math.fround(speed ?? 1) };
  }

  // An idle screen says where it stands, again and again: no activity (rule 6). A heartbeat after a pause is one too.
  isIdle({ kind, position_ms }) {
    const { last } = this;
    const standing = kind === 'HEARTBEAT' || ((kind === 'PAUSE' || kind === 'STOP') && (!last || last.state === STATES[kind]));
    return standing && (last ? last.position_ms === position_ms : position_ms <= this.reached);
  }

  // A player that is opened far from where it stood, near another place, belongs to that place from here on.
  play(event, at, stamp, view) {
    const begun = this.rewatchFrom;
    this.rewatchFrom = null;
    if (!view) return;
    let { places, completed, duration_ms: length } = view;
    if (this.last) {
      // What the playhead itself has reported may not be in the view yet.
      const own = { version: this.version, position_ms: this.reached, touched: this.last.stamp, ended: this.ended };
      const superseded = !places.length || places[0].version < own.version;
      places = joinPlace(places, own);
      length ??= event.duration_ms;
      completed = (places[0].version === own.version && completes(places[0], length)) || (completed && !superseded);
      const place = abs(this.last.position_ms - event.position_ms) > STEP_MS && resumedPlace({ places }, event.position_ms, stamp);
      if (place && place.version !== this.version) this.enter(at, place.version, place.position_ms);
    }
    const newest = places[0] ?? NOWHERE;
    const until = length ?? newest.position_ms;
    const position = event.position_ms;
    if (completed && newest.touched <= stamp && position <= max(120_000, floor(until / 50)) && position < floor(until / 2)) {
      this.rewatchFrom = min(begun ?? position, position);
    }
  }

  isMove({ kind, restart, position_ms }, at) {
    if (kind === 'PLAY' && restart) return true;
    if (kind === 'SEEK') {
      const { last } = this;
      const from = last ? last.position_ms : this.reached;
      const played = last?.state === 'playing' ? floor(max(at - last.at, 0) * last.speed) : 0;
      if (position_ms + STEP_MS < from || position_ms > from + played + STEP_MS) return true;
    }
    return this.rewatchFrom !== null && position_ms > this.rewatchFrom;
  }

  takesOver({ kind }, at) {
    const since = this.stillPlaying(at);
    return STATES[kind] === 'playing' && this.newest > this.version && since !== null
      && at - since >= MINUTES_10 && at - wallOf(this.newestTouched) >= MINUTES_10;
  }

  stillPlaying(at) {
    const { last } = this;
    return last?.state === 'playing' && at - last.at <= STEP_MS ? (this.playingSince ?? last.at) : null;
  }

  // From before the last report: it counts in the place the playhead had at that time, and a late move descends from there (rule 5).
  late(event, at, stamp, view) {
    const left = this.leftAt(at);
    let { version: own, position_ms: from } = left ?? { version: this.version, position_ms: this.reached };
    const precedes = at < this.started && own > stamp;
    if (precedes) {
      // Nobody was in that place yet, so it is placed like the first report of a device.
      ({ version: own, position_ms: from } = view ? startPlace(view, event.position_ms, stamp) : NOWHERE);
    }
    let version = own;
    if ((event.kind === 'SEEK' && abs(from - event.position_ms) > STEP_MS) || (event.kind === 'PLAY' && event.restart)) {
      version = this.above(own, stamp);
      const nowLeft = { until: at, version: own, position_ms: from };
      if (precedes) {
        this.leave(nowLeft);
        this.leave({ until: this.started, version, position_ms: event.position_ms });
      } else if (left) {
        Object.assign(left, { version, position_ms: event.position_ms });
        this.leave(nowLeft);
      } else {
        this.leave(nowLeft);
        Object.assign(this, { version, reached: event.position_ms, ended: false, steppedBack: false });
      }
    } else if (!left && !precedes) {
      this.reached = max(this.reached, event.position_ms);
      this.ended ||= event.kind === 'END';
    }
    return this.counted(event, stamp, version, false);
  }
}

// ---- What is shown

const UNSEEN = {
  started: false, position_ms: 0, version: 0, high_ms: 0, places: [], completed: false, furthest_ms: 0, state: 'stopped', speed: 1, hidden: false,
};
const placesOf = (shown) => shown.places.map((place) => ({ ...place, touched: stampOf(place.touched_ms), ended: false }));

/** Lays a device's own reports over what a node showed: the join of both. */
export function overlay(shown, own, policy) {
  const mine = best(own, (one, other) => one.touched >= other.touched);
  if (!mine) return shown;
  const places = own.reduce(joinPlace, placesOf(shown));
  const [{ version, position_ms: high_ms }] = places;
  const later = mine.touched >= stampOf(shown.at_ms ?? 0);
  const furthest_ms = max(shown.furthest_ms, ...own.map((one) => one.position_ms));
  const length = (later && mine.duration_ms) || shown.duration_ms;
  const duration_ms = furthest_ms <= length + 5_000 ? length : undefined;
  const same = version === shown.version;
  const stepped = mine.stepped_back && mine.version === version && high_ms - mine.last_ms <= STEP_MS;
  let position_ms = same && high_ms === shown.high_ms ? shown.position_ms : high_ms;
  if (policy === 'furthest') position_ms = furthest_ms;
  else if (later) position_ms = stepped || policy === 'last_activity' ? mine.last_ms : high_ms;
  return {
    ...shown, started: true, position_ms, version, high_ms, furthest_ms, duration_ms,
    places: places.map((place) => ({ version: place.version, position_ms: place.position_ms, touched_ms: wallOf(place.touched) })),
    completed: completes(places[0], duration_ms) || (same && shown.completed),
    ...(later && { state: mine.state, device_id: mine.device_id, speed: mine.speed, at_ms: wallOf(mine.touched), hidden: false }),
    ...(mine.series_id && { series_id: mine.series_id }),
  };
}

// ---- The clock: a node's time, carried on by a clock that never goes back

class Clock {
  constructor(env) {
    this.env = env;
    this.known = false;
    this.took = Infinity;
    this.shown = this.stamp = this.seen = 0;
    this.base = this.skew = env.now() - env.mono();
  }

  now() {
    const skew = this.env.now() - this.env.mono();
    // The machine slept, or its clock was corrected. Only a node can say which.
    if (abs(skew - this.skew) > 2_000) this.known = false;
    this.skew = skew;
    return (this.shown = max(this.shown, round(this.base + this.env.mono())));
  }

  tick() {
    return (this.stamp = max(stampOf(this.now()), this.stamp + 1, this.seen + 1));
  }

  // Takes a node's time. Answers by how much what was stamped in doubt is to be moved.
  measure(server, asked) {
    const now = this.env.mono();
    const took = now - asked;
    const shift = round(server + took / 2 - now - this.base);
    const doubted = !this.known;
    if (!doubted && took > 2 * this.took && abs(shift) < took + 2_000) return 0;
    this.known = true;
    this.took = took;
    this.base += shift;
    if (abs(shift) > 2_000) this.shown = 0;
    if (doubted) this.stamp = shifted(this.stamp, shift);
    return doubted ? shift : 0;
  }
}

// ---- What waits: in memory, and in IndexedDB where there is one

function openStore(env, name) {
  let base;
  const opened = new Promise((resolve) => {
    const request = env.indexedDB.open(name, 1);
    request.onupgradeneeded = () => ['queue', 'titles'].forEach((table) => request.result.createObjectStore(table, { keyPath: 'id' }));
    request.onsuccess = () => resolve((base = request.result));
    request.onerror = resolve;
  }).catch(() => {});
  const act = (table, work) => {
    // At once where possible: a page that goes waits for nobody. And where nothing can be kept, memory serves.
    const now = () => { try { work(base.transaction(table, 'readwrite').objectStore(table)); } catch {} };
    if (base) now(); else opened.then(now);
  };
  return {
    put: (table, values) => act(table, (store) => values.forEach((value) => store.put(value))),
    drop: (table, ids) => act(table, (store) => ids.forEach((id) => store.delete(id))),
    all: (table) => opened.then(() => new Promise((resolve) => {
      const request = base.transaction(table).objectStore(table).getAll();
      request.onsuccess = () => resolve(request.result);
    })).catch(() => []),
  };
}

// ---- The link: WebSocket, else server-sent events, else polling, each tried again with full jitter

class Link {
  constructor(sync) {
    Object.assign(this, { sync, env: sync.env, failures: 0, run: 0, next: 1, acks: new Map(), mode: 'offline' });
  }

  restart(wait) {
    this.stop();
    const { run } = this;
    this.timer = this.env.setTimeout(() => this.connect(run), wait);
  }

  stop() {
    this.run++;
    this.env.clearTimeout(this.timer);
    this.env.clearTimeout(this.silence);
    this.abort?.abort();
    this.socket?.close();
    this.socket = null;
    for (const { reject } of this.acks.values()) reject(new Error('closed'));
    this.acks.clear();
    this.enter('offline');
  }

  enter(mode) {
    if (this.mode !== mode) this.sync._say('connection', { state: (this.mode = mode) });
    if (mode !== 'offline') this.sync.flush();
  }

  async connect(run) {
    const { env, sync } = this;
    await sync._ready;
    const begun = env.mono();
    const { quiet } = sync;
    const way = quiet || this.failures > 5 ? 'poll' : this.failures > 2 || !env.WebSocket ? 'stream' : 'listen';
    let wait = 0;
    let answered = false;
    try {
      const bearer = await sync._token();
      if (run !== this.run) return;
      this.abort = new AbortController();
      wait = await this[way](run, bearer);
      answered = way === 'poll';
    } catch {}
    if (run !== this.run) return;
    // A line that held for a minute is a good one. One that must poll tries the better ways again after a while.
    this.failures = env.mono() - begun >= 60_000 ? 0 : answered && !quiet && this.failures > 11 ? 2 : this.failures + 1;
    const jitter = env.random() * min(quiet ? 300_000 : 30_000, 500 * 2 ** this.failures);
    const mode = this.mode;
    this.restart((wait ?? 0) + (quiet ? 15_000 + jitter : answered ? 0 : jitter));
    if (answered) this.enter(mode);
  }

  listen(run, token) {
    const { sync, env } = this;
    const socket = (this.socket = new env.WebSocket(`${sync.url.replace(/^http/, 'ws')}/v1/ws`, 'leftoff.v1'));
    const asked = env.mono();
    return new Promise((resolve) => {
      let wait;
      // A line that is silent although it was asked is dead.
      const heard = (asked) => {
        env.clearTimeout(this.silence);
        this.silence = env.setTimeout(() => (asked ? socket.close() : (this.tell({ type: 'ping' }), heard(true))), 20_000);
      };
      heard();
      socket.onopen = () => this.hello(token);
      socket.onclose = () => resolve(wait);
      socket.onmessage = ({ data }) => {
        if (run !== this.run) return;
        heard();
        const message = JSON.parse(data);
        const { type, id } = message;
        const waiting = this.acks.get(id);
        this.acks.delete(id);
        if (type === 'welcome') {
          sync._time(message.server_time_ms, asked);
          sync._beat = message.heartbeat_ms;
          this.since ??= message.cursor;
          this.enter('websocket');
          sync._state(true);
          sync.party?.enter();
        } else if (type === 'ack') {
          waiting?.resolve(message);
        } else if (waiting) {
          waiting.reject(message);
        } else {
          if (type === 'bye') wait = message.retry_after_ms;
          this.push(message);
        }
      };
    });
  }

  hello(token) {
    this.tell({ type: 'hello', token, device_id: this.sync.deviceId, profiles: [this.sync.profileId], since: this.since });
  }

  tell(message) {
    if (this.socket?.readyState === 1) this.socket.send(JSON.stringify(message));
  }

  // Sends events, by the socket where there is one. The answer says what was kept.
  send(body) {
    if (this.mode !== 'websocket') return this.sync._ask('/v1/events', { method: 'POST', body: JSON.stringify(body) });
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.acks.set(id, { resolve, reject });
      this.env.setTimeout(reject, 10_000, {});
      this.tell({ type: 'events', id, ...body });
    });
  }

  push(message) {
    this.since = message.cursor ?? this.since;
    this.sync._pushed(message);
  }

  async stream(run) {
    const headers = { accept: 'text/event-stream', ...(this.since && { 'last-event-id': this.since }) };
    const answer = await this.sync._fetch(`${this.sync._path}/changes`, { headers, signal: this.abort.signal });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    this.enter('sse');
    for (let rest = '', wait; ;) {
      const { value, done } = await reader.read();
      if (done || run !== this.run) return wait;
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) {
        const [, type] = /^event: (.*)/m.exec(block) ?? [];
        const [, data] = /^data: (.*)/m.exec(block) ?? [];
        [, this.since] = /^id: (.*)/m.exec(block) ?? [, this.since];
        if (data) this.push({ type, ...JSON.parse(data) });
        if (type === 'bye') wait = JSON.parse(data).retry_after_ms;
      }
    }
  }

  async poll() {
    const wait = this.sync.quiet || !this.since ? 0 : 25;
    const since = this.since ? `&since=${encodeURIComponent(this.since)}` : '';
    const { items, cursor } = await this.sync._ask(`${this.sync._path}/changes?wait=${wait}${since}`, { signal: this.abort.signal });
    items.forEach((item) => this.push(item));
    this.since = cursor;
    this.enter('poll');
  }
}

// ---- A video element, or a player around one

// video.js, plyr, hls.js and shaka-player each keep the element elsewhere.
const elementOf = (player) => player.getMediaElement?.() ?? player.media ?? player.el?.().querySelector('video, audio') ?? player;

class Attachment {
  constructor(sync, player, options) {
    Object.assign(this, { sync, env: sync.env, media: elementOf(player), options, titleId: options.titleId, off: [] });
    Object.assign(this, { held: true, target: null, scrub: null, position: 0, reported: -Infinity });
    for (const type of ['playing', 'pause', 'seeking', 'seeked', 'timeupdate', 'ended', 'emptied', 'loadedmetadata', 'ratechange']) {
      listen(this.off, this.media, type, () => this[type]());
    }
    this.ready = this.begin();
  }

  async begin() {
    const shown = this.options.resume === false ? null : await this.sync.resume(this.titleId);
    if (shown && !shown.completed && !this.moved && !this.sync.party) this.follow(shown);
    this.held = false;
    if (!this.media.paused && this.media.readyState > 2) this.playing();
    return shown;
  }

  get now() {
    return max(0, round(this.media.currentTime * 1_000));
  }

  get duration() {
    const ms = round(this.options.durationMs ?? this.media.duration * 1_000);
    return ms > 0 && ms < 1e10 ? ms : undefined;
  }

  // Moves the element. The viewer did not, so it is no report.
  seek(ms) {
    if (this.media.readyState < 1) this.later = ms;
    else if (abs(this.now - ms) > 250) this.media.currentTime = (this.target = ms) / 1_000;
    this.position = ms;
  }

  loadedmetadata() {
    if (abs(this.media.duration - this.gone) < 1) this.gone = 0;
    if (this.later != null) this.seek(this.later);
    this.later = null;
  }

  playing() {
    if (this.held || this.gone || this.plays) return;
    this.settle();
    this.plays = true;
    this.muted = false;
    this.report('PLAY');
    this.sync.party?.act();
  }

  pause() {
    if (!this.media.ended) this.still('PAUSE');
    this.sync.party?.act();
  }

  ended() {
    this.still('END', this.duration);
  }

  still(kind, position) {
    this.settle();
    if (!this.plays) return;
    this.plays = false;
    this.report(kind, position);
  }

  seeking() {
    if (this.target !== null && abs(this.now - this.target) > 1_500) this.target = null; // The viewer was quicker.
    if (this.target === null && this.media.readyState) this.moved = true;
  }

  seeked() {
    if (this.target !== null || this.gone || (this.media.loop && this.now < 1_000)) {
      this.target = null;
      return;
    }
    this.muted = false;
    this.env.clearTimeout(this.scrub);
    this.scrub = this.env.setTimeout(() => this.settle(), 300);
  }

  // A scrub that was resting is reported before whatever follows it.
  settle() {
    if (this.scrub === null) return;
    this.env.clearTimeout(this.scrub);
    this.scrub = null;
    this.report('SEEK');
    this.sync.party?.act();
  }

  timeupdate() {
    if (this.media.seeking || this.media.ended || this.gone || this.scrub !== null) return;
    this.position = this.now;
    const interval = this.duration - this.position <= 60_000 ? 2_000 : this.sync._beat;
    if (this.plays && this.env.mono() - this.reported >= interval) this.report('HEARTBEAT');
  }

  ratechange() {
    this.sync.party?.act();
  }

  emptied() {
    // Another source: what plays from here on is nobody's until it is attached, unless it is as long, and so the same once more.
    if (!this.plays) return;
    this.gone = (this.duration ?? -9_000) / 1_000;
    this.still('STOP', this.position);
  }

  report(kind, positionMs = this.now, restart) {
    this.position = positionMs;
    this.reported = this.env.mono();
    if (this.held || this.muted) return;
    const { seriesId, sessionId } = this.options;
    const speed = this.sync.party ? 1 : this.media.playbackRate;
    this.sync.report({ kind, titleId: this.titleId, positionMs, durationMs: this.duration, seriesId, sessionId, restart, speed });
  }

  /** From the beginning, because the viewer chose so. */
  restart() {
    this.seek(0);
    this.moved = this.plays = true;
    this.report('PLAY', 0, true);
    return this.media.play();
  }

  /** Goes where the title was left elsewhere, also while it plays here. */
  follow(shown = this.sync.view(this.titleId)) {
    if (!shown.started) return;
    this.sync._enter(this.titleId, shown);
    this.seek(shown.position_ms);
  }

  // Another device went on. What stands still goes along, unless it was told otherwise.
  elsewhere(shown) {
    const { follow } = this.options;
    if (follow === false || this.held || this.gone || this.scrub !== null || this.sync.party) return;
    if (follow === 'always' || (this.media.paused && !this.sync.hidden)) this.follow(shown);
  }

  /** Ends, with a report of where it stood. */
  detach() {
    this.still('STOP', this.position);
    this.off.forEach((off) => off());
    this.sync._attached.delete(this);
  }
}

// ---- A watch party: one anchor for all

/** What an element at `position` has to do to be where the anchor is: go to `seek`, or play at `rate`. */
export function correction(anchor, now, position) {
  const there = anchor.position_ms + (anchor.playing ? max(0, now - anchor.at_ms) * anchor.rate : 0);
  const off = position - there;
  if (abs(off) > (anchor.playing ? 3_000 : 250)) return { seek: round(there) };
  return { rate: anchor.rate * (!anchor.playing || abs(off) < 100 ? 1 : off > 0 ? 0.95 : 1.05) };
}

class Party {
  constructor(sync, { id, invite }, attachment) {
    Object.assign(this, { sync, id, invite, attachment, rate: 1 });
    this.enter();
    this.turn();
  }

  enter() {
    this.sync._link.tell({ type: 'party.join', id: this.id, token: this.invite, profile_id: this.sync.profileId });
  }

  turn() {
    this.apply();
    this.timer = this.sync.env.setTimeout(() => this.turn(), 1_000);
  }

  pushed({ id, anchor }) {
    if (id !== this.id || !anchor || anchor.stamp < this.anchor?.stamp) return;
    // Its age is measured without wall clocks, so that devices whose clocks differ agree.
    this.anchor = { ...anchor, at_ms: this.sync._clock.now() - anchor.age_ms };
    this.apply();
  }

  apply() {
    const { anchor, attachment } = this;
    if (!anchor || !attachment || attachment.scrub !== null) return;
    const { media } = attachment;
    const { seek, rate } = correction(anchor, this.sync._clock.now(), attachment.now);
    if (seek !== undefined) attachment.seek(seek);
    media.playbackRate = this.rate = rate ?? anchor.rate;
    if (anchor.playing && media.paused) media.play().catch(() => {});
    if (!anchor.playing && !media.paused) media.pause();
  }

  // What the viewer did, and only that: what was applied equals the anchor.
  act() {
    const { anchor, attachment } = this;
    if (!attachment || attachment.target !== null) return;
    const { media, now, titleId } = attachment;
    const rate = abs(media.playbackRate - this.rate) < 0.001 ? (anchor?.rate ?? 1) : media.playbackRate;
    const same = anchor && anchor.playing !== media.paused && rate === anchor.rate;
    if (same && correction(anchor, this.sync._clock.now(), now).seek === undefined) return;
    this.control({ position_ms: now, rate, playing: !media.paused, title_id: titleId });
  }

  /** Moves everybody: `{position_ms, rate, playing}`. */
  control(anchor) {
    this.anchor = { stamp: 0, ...this.anchor, ...anchor, at_ms: this.sync._clock.now() };
    this.rate = anchor.rate;
    this.sync._link.tell({ type: 'party.control', ...anchor, id: this.id });
  }

  /** Leaves. The element goes on as it is. */
  leave() {
    this.sync.env.clearTimeout(this.timer);
    this.sync._link.tell({ type: 'party.leave', id: this.id });
    this.sync.party = null;
    if (this.attachment) this.attachment.media.playbackRate = this.anchor?.rate ?? 1;
  }
}

// ---- The client

function listen(off, target, type, act) {
  target?.addEventListener?.(type, act);
  off.push(() => target?.removeEventListener?.(type, act));
}

function platform() {
  const env = { window: globalThis, now: Date.now, random: Math.random, mono: () => performance.now() };
  for (const name of ['setTimeout', 'clearTimeout', 'fetch', 'WebSocket', 'BroadcastChannel']) env[name] = globalThis[name]?.bind(globalThis);
  const { document, indexedDB, navigator = {} } = globalThis;
  return { ...env, document, indexedDB, locks: navigator.locks, beacon: navigator.sendBeacon?.bind(navigator), keepalive: 'keepalive' in (globalThis.Request?.prototype ?? {}) };
}

/** One device of one profile, in step with a node. Options, events and answers are described in `leftoff.d.ts`. */
export class Leftoff {
  constructor({ url = location.origin, token, deviceId, profileId, live = true, saveEnergy = false, env }) {
    if (!profileId) throw new TypeError('leftoff: profileId is missing');
    Object.assign(this, { env: { ...platform(), ...env }, url: url.replace(/\/+$/, ''), token, profileId, live, saveEnergy, party: null });
    Object.assign(this, { _heads: new Map(), _titles: new Map(), _own: new Set(), _attached: new Set(), _waiting: new Map(), _listeners: {}, _off: [] });
    Object.assign(this, { _queue: [], _count: 0, _failures: 0, _beat: 10_000, _path: `/v1/profiles/${encodeURIComponent(profileId)}` });
    this._tab = this._name();
    this.deviceId = deviceId ?? this._device();
    this._clock = new Clock(this.env);
    this._store = openStore(this.env, `leftoff ${this.url}`);
    this._link = new Link(this);
    const { document, window, locks, BroadcastChannel } = this.env;
    // Held while this page lives, so that no other takes over what waits in it.
    locks?.request(this._tab, () => new Promise((resolve) => this._off.push(resolve)));
    if (BroadcastChannel) {
      this._channel = new BroadcastChannel(`leftoff ${this.url} ${profileId} ${this.deviceId}`);
      this._channel.onmessage = ({ data }) => this._neighbour(data);
      this._off.push(() => this._channel.close());
    }
    listen(this._off, document, 'visibilitychange', () => (this.hidden ? this._leave('HEARTBEAT') : this._wake()));
    listen(this._off, window, 'pagehide', () => this._leave('STOP'));
    listen(this._off, window, 'pageshow', ({ persisted }) => persisted && this._wake());
    listen(this._off, window, 'online', () => this._wake());
    this._ready = this._load();
    if (live) this._link.restart();
  }

  /** Whether the page cannot be seen. */
  get hidden() {
    return this.env.document?.visibilityState === 'hidden';
  }

  /** Whether the page is in the background and plays nothing: then it keeps no line open. */
  get quiet() {
    return this.hidden && !this._plays;
  }

  /** Keeps an element, or a video.js, plyr, hls.js or shaka player, in step with a title. */
  attach(player, options) {
    for (const other of this._attached) if (other.media === elementOf(player)) other.detach();
    const attachment = new Attachment(this, player, options);
    this._attached.add(attachment);
    return attachment;
  }

  /** Listens; answers a function that ends it. */
  on(type, listener) {
    (this._listeners[type] ??= new Set()).add(listener);
    return () => this._listeners[type].delete(listener);
  }

  /** Reports what a player did. Answers the title's progress with it. Waits on this device until a node has kept it. */
  report(event) {
    const now = this._clock.now();
    const told = (camel, snake) => event[camel] ?? event[snake];
    const at = told('atMs', 'at_ms');
    const full = this._event(event.kind, told('titleId', 'title_id'), told('positionMs', 'position_ms'), {
      series_id: told('seriesId', 'series_id'), session_id: told('sessionId', 'session_id'), restart: event.restart || undefined,
      duration_ms: told('durationMs', 'duration_ms') || undefined, speed: event.speed > 0 && event.speed <= 16 && event.speed !== 1 ? event.speed : undefined,
      // By this device's clock, whatever that says.
      at_ms: at == null ? now : min(now, round(now - this.env.now() + at)),
    });
    const { kind, title_id, at_ms, duration_ms } = full;
    if (duration_ms < full.position_ms) full.position_ms = max(duration_ms, full.position_ms - 5_000);
    const live = now - at_ms < STEP_MS ? this._clock.tick() : null;
    const shown = this.view(title_id);
    const view = { places: placesOf(shown), completed: shown.completed, duration_ms: shown.duration_ms };
    const head = this._heads.get(title_id) ?? Playhead.start(full, at_ms, live, view);
    this._heads.set(title_id, head);
    const { version, delta } = head.report(full, at_ms, live, view);
    this._plays = STATES[kind] === 'playing' || (kind === 'SEEK' && this._plays);
    if (!delta) return shown;
    if (!this._clock.known) {
      head.unsure = true;
      this._made(version, now);
    }
    this._enqueue({ ...full, version, stepped_back: delta.stepped_back || undefined }, delta);
    return this.view(title_id);
  }

  /** What is known of a title now: what the node showed last, and over it this device's own reports. Asks nobody. */
  view(titleId, policy, shown) {
    const title = this._title(titleId);
    title.own = title.own.filter(({ kept }) => kept === undefined || this.env.mono() - kept < KEEP_OWN_MS);
    return overlay(shown ?? title.shown ?? { ...UNSEEN, profile_id: this.profileId, title_id: titleId }, title.own, policy);
  }

  /** Where to resume. Never fails: for a node that is silent for 800 ms memory answers, and what nobody knows begins at 0. */
  async resume(titleId, { policy = 'continue' } = {}) {
    const within = (ms, answer) => Promise.race([answer, new Promise((resolve) => this.env.setTimeout(resolve, ms))]);
    const asked = this._ask(`${this._path}/titles/${encodeURIComponent(titleId)}?policy=${policy}`);
    const known = asked.then((shown) => (policy === 'continue' ? this._learn(shown) : shown)).catch(() => {});
    const shown = await within(800, known);
    await within(200, this._ready);
    return this.view(titleId, policy, policy === 'continue' ? undefined : shown);
  }

  /**
   * Moves positions in that an app kept by itself. Resolves when a node has kept them, so that the app can forget them; again does no harm.
   * One without `atMs` is older than everything: it moves nobody who has watched on.
   */
  migrate(entries) {
    return Promise.all(entries.map(({ titleId, positionMs, durationMs, seriesId, atMs = 1 }) => new Promise((resolve) => this._enqueue(
      this._event('PAUSE', titleId, positionMs, { duration_ms: durationMs || undefined, series_id: seriesId, at_ms: round(atMs) }), null, resolve,
    ))));
  }

  /** Makes a party. */
  createParty(body) {
    return this._ask('/v1/parties', { method: 'POST', body: JSON.stringify({ profile_id: this.profileId, device_id: this.deviceId, ...body }) });
  }

  /** Joins a party, with an element that is attached, or only to look on. */
  joinParty(party, attachment) {
    this.party?.leave();
    return (this.party = new Party(this, party, attachment));
  }

  /** A new token: a text, or a function that answers one, also later. */
  setToken(token) {
    this.token = token;
    if (this._link.mode === 'websocket') this._token().then((bearer) => this._link.hello(bearer));
    else if (this.live) this._link.restart();
  }

  /** Sends what waits. */
  async flush() {
    if (this._sending) return;
    this._sending = true;
    this.env.clearTimeout(this._again);
    let batch = [];
    try {
      await this._ready;
      while ((batch = this._batch(this._queue)).length) {
        let asked = this.env.mono();
        // An empty batch tells the time.
        if (!this._clock.known) this._time((await this._ask('/v1/events', { method: 'POST', body: '{"events":[]}' })).server_time_ms, asked);
        asked = this.env.mono();
        this._kept(batch, await this._link.send(this._body(batch)), asked);
        this._failures = 0;
      }
    } catch (error) {
      this._land(batch);
      const wait = this.env.random() * min(30_000, 500 * 2 ** this._failures++);
      this._again = this.env.setTimeout(() => this.flush(), max(error?.retry_after_ms ?? 100, wait));
    }
    this._sending = false;
  }

  /** Ends: reports where players stood, sends what can be sent, closes the line. What still waits is sent by the next page. */
  close() {
    for (const attachment of [...this._attached]) attachment.detach();
    this.party?.leave();
    this._save();
    this._off.forEach((off) => off());
    this.env.clearTimeout(this._again);
    this.env.clearTimeout(this._calm);
    this._link.stop();
  }

  _say(type, message) {
    for (const listener of this._listeners[type] ?? []) listener(message);
  }

  _name() {
    return `leftoff ${this.env.now().toString(36)}${this.env.random().toString(36).slice(1)}`;
  }

  _device() {
    try {
      const { localStorage } = this.env.window;
      return (localStorage['leftoff.device'] ??= this._name().slice(8));
    } catch {
      return this._tab.slice(8);
    }
  }

  async _token() {
    return (this._bearer = typeof this.token === 'function' ? await this.token() : this.token);
  }

  _headers(type) {
    return { ...(type && { 'content-type': type }), ...(this._bearer && { authorization: `Bearer ${this._bearer}` }) };
  }

  async _fetch(path, init = {}) {
    await this._token();
    const answer = await this.env.fetch(this.url + path, { ...init, headers: { ...this._headers(init.body && 'application/json'), ...init.headers } });
    if (!answer.ok) throw await answer.json().catch(() => ({}));
    return answer;
  }

  async _ask(path, init) {
    return (await this._fetch(path, init)).json();
  }

  _event(kind, title_id, position_ms, more) {
    const event = { profile_id: this.profileId, title_id, device_id: this.deviceId, kind, position_ms: max(0, round(position_ms)), ...more };
    if (!STATES[kind] || !title_id || !(event.position_ms <= 1e10)) throw new TypeError('leftoff: an event needs kind, titleId and positionMs');
    return event;
  }

  _title(id) {
    let title = this._titles.get(id);
    if (!title) this._titles.set(id, (title = { id: JSON.stringify([this.profileId, id]), own: [] }));
    if (this._titles.size > 500) {
      const [old, { id: key }] = [...this._titles].find(([, { own }]) => !own.length) ?? [id, title];
      this._titles.delete(old);
      this._heads.delete(old);
      this._store.drop('titles', [key]);
    }
    return title;
  }

  // A version of this device's own making, by a clock that is in doubt: it moves with the clock.
  _made(version, at) {
    if (abs(wallOf(version) - at) < 1_000) this._own.add(version);
  }

  _enter(id, { version, high_ms }) {
    const now = this._clock.now();
    const head = this._heads.get(id);
    if (!head) this._heads.set(id, new Playhead(version, now, high_ms));
    else if (head.version !== version) head.enter(now, version, high_ms);
  }

  _enqueue(event, delta, resolve) {
    const id = `${this._tab} ${String(++this._count).padStart(9, 0)}`;
    const record = { id, tab: this._tab, wall: this.env.now(), unsure: !this._clock.known, event };
    this._queue.push(record);
    this._store.put('queue', [record]);
    if (resolve) this._waiting.set(id, resolve);
    const beats = this._queue.filter((other) => other.event.kind === 'HEARTBEAT' && !other.flying);
    // The last heartbeats in a place say what the first did.
    if (this._queue.length > 1_000) this._drop([beats[0] ?? this._queue[0]]);
    if (delta) {
      this._channel?.postMessage(this._lay(event, delta, id));
      this._state();
    }
    if (!this.saveEnergy || beats.length > 2 || event.kind !== 'HEARTBEAT') this.flush();
  }

  _drop(records) {
    this._queue = this._queue.filter((record) => !records.includes(record));
    this._store.drop('queue', records.map(({ id }) => id));
  }

  // Lays a report over what is known of its title, until it was kept and a while longer.
  _lay(event, { version, position_ms, touched, ended, stepped_back }, id) {
    const title = this._title(event.title_id);
    const before = title.own.filter((one) => one.version === version && one.id);
    const [place] = joinPlace(before, { version, position_ms, touched, ended });
    const own = { ...event, ...place, last_ms: position_ms, touched, stepped_back, state: STATES[event.kind], speed: event.speed ?? 1, id, kept: undefined };
    title.own = [...title.own.filter((one) => !before.includes(one)), own];
    return own;
  }

  // Another tab of this device reported: it knows best, and the one that the viewer touched last goes on.
  _neighbour(own) {
    const title = this._title(own.title_id);
    title.own = [...title.own.filter((one) => one.id || one.version !== own.version), { ...own, id: null, kept: this.env.mono() }];
    this._changed(own.title_id, true);
    for (const attachment of this._attached) {
      if (attachment.titleId === own.title_id && attachment.plays && ['PLAY', 'SEEK'].includes(own.kind)) attachment.muted = true;
    }
  }

  _changed(id, elsewhere) {
    const shown = this.view(id);
    this._say('progress', shown);
    for (const attachment of this._attached) if (elsewhere && attachment.titleId === id) attachment.elsewhere(shown);
  }

  _learn(shown) {
    const title = this._title(shown.title_id);
    const was = title.shown;
    // A node that is behind another says less; what was seen a moment ago holds.
    const behind = was && (shown.version - was.version || shown.high_ms - was.high_ms) < 0 && this.env.mono() - title.seen < KEEP_OWN_MS;
    if (behind) return;
    Object.assign(title, { shown, seen: this.env.mono() });
    for (const { version, touched_ms } of shown.places) this._clock.seen = max(this._clock.seen, version, stampOf(touched_ms + 1));
    this._store.put('titles', [{ id: title.id, shown }]);
  }

  _pushed(message) {
    const { type, title_id } = message;
    if ((message.profile_id ?? this.profileId) !== this.profileId) return;
    if (type === 'party') this.party?.pushed(message);
    if (type === 'error') this.party?.enter(); // What was refused to this viewer is as it was.
    if (type === 'erased' || type === 'reset') {
      this._store.drop('titles', [...this._titles.values()].map(({ id }) => id));
      for (const title of this._titles.values()) title.shown = undefined;
      if (type === 'erased') for (const known of [this._titles, this._heads]) known.clear();
    }
    if (type !== 'progress' && type !== 'hidden') return this._say(type, message);
    this._learn(message);
    this._changed(title_id, message.device_id !== this.deviceId);
  }

  // Tells the node what this device does, if that is news.
  _state(anew) {
    const state = this._plays ? 'playing' : this.hidden ? 'background' : 'paused';
    if (anew || state !== this._told) this._link.tell({ type: 'state', state, profile_id: this.profileId, title_id: [...this._attached][0]?.titleId });
    this._told = state;
    this.env.clearTimeout(this._calm);
    if (this.quiet && this.live) this._calm = this.env.setTimeout(() => this.quiet && this._link.restart(), 10_000);
  }

  // As many as one body holds: the oldest, or, of a page that goes, the last.
  _batch(records, going) {
    let bytes = 200;
    const free = records.filter(({ flying }) => !flying);
    const fits = ({ event }) => (bytes += new TextEncoder().encode(JSON.stringify(event)).length + 1) < BODY_BYTES_MAX;
    if (going) free.reverse();
    const end = free.findIndex((record) => !fits(record));
    const batch = free.slice(0, end < 0 ? 500 : max(end, 1));
    for (const record of batch) record.flying = true;
    return going ? batch.reverse() : batch;
  }

  _body(batch) {
    for (const record of batch) record.sent = true;
    return { sent_at_ms: this._clock.now(), events: batch.map(({ event }) => event) };
  }

  _kept(batch, { refused, server_time_ms }, asked) {
    this._time(server_time_ms, asked);
    this._drop(batch);
    const reasons = new Map(refused.map((one) => [one.index, one]));
    batch.forEach(({ id, event }, index) => {
      const reason = reasons.get(index);
      const title = this._title(event.title_id);
      for (const own of title.own) if (own.id === id) own.kept = reason ? -Infinity : this.env.mono();
      if (reason) this._say('refused', { ...reason, event });
      this._waiting.get(id)?.(reason ?? null);
      this._waiting.delete(id);
      this._store.put('titles', [{ id: title.id, shown: this.view(event.title_id) }]);
    });
  }

  // Takes a node's time, and moves what was stamped in doubt and is still here.
  _time(server, asked) {
    const shift = this._clock.measure(server, asked);
    const moved = (version) => (this._own.has(version) ? shifted(version, shift) : version);
    const unsure = this._queue.filter((record) => record.unsure && !record.sent);
    for (const record of unsure) {
      const { event } = record;
      if (event.at_ms > 1e12) event.at_ms += shift;
      event.version = moved(event.version);
      record.unsure = false;
      const own = this._title(event.title_id).own.find(({ id }) => id === record.id);
      if (own) Object.assign(own, { version: event.version, touched: shifted(own.touched, shift) });
    }
    for (const head of this._heads.values()) if (head.unsure) head.restamp(shift, (version) => this._own.has(version)), (head.unsure = false);
    if (unsure.length) this._store.put('queue', unsure);
    this._own.clear();
  }

  async _load() {
    const { locks, now } = this.env;
    const held = (await locks?.query().catch(() => {}))?.held.map(({ name }) => name) ?? [];
    const records = (await this._store.all('queue')).filter(({ tab, wall, event }) => event.profile_id === this.profileId
      && event.device_id === this.deviceId && tab !== this._tab && !held.includes(tab) && (locks || now() - wall > STEP_MS));
    for (const record of records) {
      Object.assign(record, { tab: this._tab, flying: false });
      const { version, at_ms, position_ms, kind, stepped_back } = record.event;
      if (record.unsure) this._made(version, at_ms);
      if (version != null) this._lay(record.event, { version, position_ms, touched: stampOf(at_ms), ended: kind === 'END', stepped_back }, record.id);
    }
    this._queue.unshift(...records);
    this._store.put('queue', records);
    for (const { id, shown } of await this._store.all('titles')) {
      const [profile, title] = JSON.parse(id);
      if (profile === this.profileId) this._title(title).shown ??= shown;
    }
    if (records.length) this.flush();
  }

  _leave(kind) {
    const now = this.env.mono();
    const saved = kind === 'STOP' && now - this._left < 1_000;
    if (!saved) for (const attachment of this._attached) if (attachment.plays) kind === 'STOP' ? attachment.still(kind) : attachment.report(kind);
    this._left = now;
    this._save();
    if (kind === 'STOP') this._link.stop();
    else this._state();
  }

  // Sends what waits in a way that outlives the page.
  _save() {
    const batch = this._batch(this._queue, true);
    if (!batch.length) return;
    if (!this._clock.known) for (const { event } of batch) delete event.version, delete event.stepped_back; // The node places them, by their age.
    const body = JSON.stringify(this._body(batch));
    this._store.put('queue', batch);
    const url = `${this.url}/v1/events`;
    const asked = this.env.mono();
    if (!this.env.keepalive) return this.env.beacon?.(url, body);
    // Plain text needs no leave of another origin first, and there is no time to ask for it.
    this.env.fetch(url, { method: 'POST', body, keepalive: true, headers: this._headers(this._bearer ? 'application/json' : 'text/plain') })
      .then((answer) => answer.json()).then((answer) => this._kept(batch, answer, asked)).catch(() => this._land(batch));
  }

  _land(records) {
    for (const record of records) record.flying = false;
  }

  _wake() {
    if (this._left) this._land(this._queue);
    this._left = 0;
    for (const attachment of this._attached) {
      if (!attachment.media.paused) attachment.playing();
      attachment.elsewhere(this.view(attachment.titleId));
    }
    if (this.live && this._link.mode !== 'websocket') {
      this._link.failures = 0;
      this._link.restart();
    }
    this._state();
    this.flush();
  }
}
