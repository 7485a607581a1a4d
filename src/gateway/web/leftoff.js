/** leftoff.js: docs/web.md, docs/semantics.md, leftoff.d.ts. MIT OR Apache-2.0. */

const MINUTE_MS = 60_000;

const STATES = { PLAY: 'playing', HEARTBEAT: 'playing', PAUSE: 'paused', SEEK: 'seeking', STOP: 'stopped', END: 'ended' };
const { max, min, abs, floor, round } = Math;

const stampOf = (ms) => ms * 1024;
const wallOf = (stamp) => floor(stamp / 1024);
const shifted = (stamp, ms) => stamp && max(stamp + stampOf(ms), 1);

function joinPlace(places, place) {
  const same = places.find(({ version }) => version === place.version);
  const joined = { ...place };
  for (const part of ['position_ms', 'touched', 'ended']) joined[part] = max(place[part], same?.[part] ?? 0);
  return [...places.filter((other) => other !== same), joined].sort((one, other) => other.version - one.version).slice(0, 8);
}

const NOWHERE = { version: 0, position_ms: 0, touched: 0 };
const completes = (place, length) => place.ended || (length > 0 && place.position_ms * 100 >= length * 95);
const best = (places, rank) => [...places].sort((one, other) => rank(one) - rank(other))[0];

function resumedPlace({ places }, position, stamp) {
  const until = places.filter(({ version }) => version <= stamp);
  const far = (place) => abs(place.position_ms - position);
  return best(until.filter((place) => far(place) <= MINUTE_MS), far) ?? until.slice(0, 1).find(({ position_ms }) => position >= position_ms && position <= position_ms + 600_000);
}

function startPlace(view, position, stamp) {
  const until = view.places.filter(({ version }) => version <= stamp);
  const below = until.filter((place) => place.position_ms <= position);
  return resumedPlace(view, position, stamp) ?? best(below, (place) => -place.position_ms) ?? until.at(-1) ?? NOWHERE;
}

/** The twin of the node's `Playhead`. */
export class Playhead {
  constructor(version, at, reached = 0) {
    Object.assign(this, { newest: version, touched: 0, started: at, trail: [], recent: [] });
    this.begin(version, reached);
  }

  static derived = (event, at) => stampOf(at);

  /** Where a first report belongs. */
  static start(event, at, live, view) {
    const place = startPlace(view, event.position_ms, live ?? Playhead.derived(event, at));
    const playhead = new Playhead(place.version, at, place.position_ms);
    playhead.look(view);
    return playhead;
  }

  /** Where a report counts, and what it changes. */
  report(event, at, live, view) {
    if (view) this.look(view);
    if (this.repeats(event)) return this.nothing(at);
    const { last } = this;
    const inOrder = !(at < last?.at);
    const stamp = (inOrder && live) || Playhead.derived(event, at);
    if (!inOrder) return this.late(event, at, stamp, view);
    if (this.isIdle(event)) {
      if (!last) this.remember(event, at, stamp);
      return this.nothing(at);
    }
    const touched = last ? max(stamp, last.stamp + 1) : stamp;
    if (event.kind === 'PLAY' && !event.restart) this.play(event, at, stamp, view);
    if (this.isMove(event, at) || this.takesOver(event, at)) {
      this.enter(at, max(this.version + 1, stamp), event.position_ms);
      this.newest = max(this.newest, this.version);
    } else if (event.kind === 'SEEK') this.steppedBack ||= event.position_ms < this.stands;
    this.playingSince = STATES[event.kind] === 'playing' ? (this.stillPlaying(at) ?? at) : null;
    this.remember(event, at, touched);
    this.reached = max(this.reached, event.position_ms);
    this.ended ||= event.kind === 'END';
    if (event.position_ms >= this.reached) this.steppedBack = false;
    if (event.kind === 'STOP') this.rewatchFrom = Infinity;
    return this.counted(event, touched, this.version, this.steppedBack);
  }

  enter(at, version, reached) {
    this.leave({ until: at, version: this.version, position_ms: this.stands });
    this.begin(version, reached);
  }

  begin(version, reached) {
    Object.assign(this, { version, reached, ended: false, steppedBack: false, rewatchFrom: Infinity, playingSince: null });
  }

  get stands() {
    return this.last?.position_ms ?? this.reached;
  }

  restamp(ms, moved) {
    this.version = moved(this.version);
    this.newest = moved(this.newest);
    this.started += ms;
    if (this.last) Object.assign(this.last, { at: this.last.at + ms, stamp: shifted(this.last.stamp, ms) });
    this.playingSince &&= this.playingSince + ms;
    for (const left of this.trail) Object.assign(left, { until: left.until + ms, version: moved(left.version) });
  }

  look(view) {
    const newest = view.places[0] ?? NOWHERE;
    this.newest = newest.version;
    this.touched = newest.touched;
    for (const { version, position_ms } of view.places) if (version === this.version) this.reached = max(this.reached, position_ms);
  }

  repeats({ kind, position_ms, at_ms }) {
    if (at_ms == null) return;
    const told = `${kind} ${position_ms} ${at_ms}`;
    if (this.recent.includes(told)) return true;
    this.recent = [...this.recent, told].slice(-32);
  }

  leftAt(at) {
    return this.trail.find((left) => at < left.until);
  }

  leave(left) {
    this.trail = [...this.trail, left].sort((one, other) => one.until - other.until).slice(-4);
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

  isIdle({ kind, position_ms }) {
    const { last } = this;
    if (!last) return /PAUSE|STOP|BEAT/.test(kind) && position_ms <= this.reached;
    return (kind === 'HEARTBEAT' || (/PAUSE|STOP/.test(kind) && last.state === STATES[kind])) && last.position_ms === position_ms;
  }

  play(event, at, stamp, view) {
    const begun = this.rewatchFrom;
    this.rewatchFrom = Infinity;
    if (!view) return;
    let { places, completed, duration_ms: length } = view;
    const position = event.position_ms;
    if (this.last) {
      const { version } = this;
      const superseding = places[0]?.version >= version;
      places = joinPlace(places, { version, position_ms: this.reached, touched: this.last.stamp, ended: this.ended });
      length ??= event.duration_ms;
      completed = (places[0].version === version && completes(places[0], length)) || (completed && superseding);
      const place = abs(this.last.position_ms - position) > MINUTE_MS && resumedPlace({ places }, position, stamp);
      if (place && place.version !== version) this.enter(at, place.version, place.position_ms);
    }
    const newest = places[0] ?? NOWHERE;
    const until = length ?? newest.position_ms;
    if (completed && newest.touched <= stamp && position <= max(120_000, floor(until / 50)) && position < floor(until / 2)) {
      this.rewatchFrom = min(begun, position);
    }
  }

  isMove({ kind, restart, position_ms }, at) {
    if (kind === 'PLAY' && restart) return true;
    if (kind === 'SEEK') {
      const { last, stands } = this;
      const played = last?.state === 'playing' ? floor((at - last.at) * last.speed) : 0;
      if (position_ms + MINUTE_MS < stands || position_ms > stands + played + MINUTE_MS) return true;
    }
    return position_ms > this.rewatchFrom;
  }

  takesOver({ kind }, at) {
    return STATES[kind] === 'playing' && this.newest > this.version && at - this.stillPlaying(at) >= 600_000 && at - wallOf(this.touched) >= 600_000;
  }

  stillPlaying(at) {
    const { last } = this;
    if (last?.state === 'playing' && at - last.at <= MINUTE_MS) return this.playingSince ?? last.at;
  }

  late(event, at, stamp, view) {
    const left = this.leftAt(at);
    let place = left ?? { version: this.version, position_ms: this.reached };
    const precedes = at < this.started && place.version > stamp;
    if (precedes) place = view ? startPlace(view, event.position_ms, stamp) : NOWHERE;
    let { version } = place;
    if ((event.kind === 'SEEK' && abs(place.position_ms - event.position_ms) > MINUTE_MS) || (event.kind === 'PLAY' && event.restart)) {
      version = max(version + 1, stamp);
      this.leave({ ...place, until: at });
      if (precedes) this.leave({ until: this.started, version, position_ms: event.position_ms });
      else if (left) Object.assign(left, { version, position_ms: event.position_ms });
      else Object.assign(this, { version, reached: event.position_ms, ended: false, steppedBack: false });
    } else if (!left && !precedes) {
      this.reached = max(this.reached, event.position_ms);
      this.ended ||= event.kind === 'END';
    }
    return this.counted(event, stamp, version, false);
  }
}

const UNSEEN = { started: false, version: 0, position_ms: 0, high_ms: 0, furthest_ms: 0, places: [], completed: false };
const placesOf = (shown) => shown.places.map((place) => ({ ...place, touched: stampOf(place.touched_ms), ended: false }));

/** Own reports over what a node showed. */
export function overlay(shown, own, policy) {
  const mine = best(own, (one) => -one.touched);
  if (!mine) return shown;
  const { state, device_id, speed, touched, last_ms, series_id = shown.series_id } = mine;
  const places = own.reduce(joinPlace, placesOf(shown));
  const [{ version, position_ms: high_ms }] = places;
  const later = !(touched < stampOf(shown.at_ms));
  const furthest_ms = max(shown.furthest_ms, ...own.map((one) => one.position_ms));
  const length = (later && mine.duration_ms) || shown.duration_ms;
  const duration_ms = furthest_ms <= length + 5_000 ? length : undefined;
  const same = version === shown.version;
  const stepped = mine.stepped_back && mine.version === version && high_ms - last_ms <= MINUTE_MS;
  let position_ms = same && high_ms === shown.high_ms ? shown.position_ms : high_ms;
  if (policy === 'furthest') position_ms = furthest_ms;
  else if (later) position_ms = stepped || policy === 'last_activity' ? last_ms : high_ms;
  return {
    ...shown, started: true, position_ms, version, high_ms, furthest_ms, duration_ms, series_id,
    places: places.map(({ version, position_ms, touched }) => ({ version, position_ms, touched_ms: wallOf(touched) })),
    completed: completes(places[0], duration_ms) || (same && shown.completed),
    ...(later && { state, device_id, speed, at_ms: wallOf(touched), hidden: false }),
  };
}

class Clock {
  constructor(env) {
    this.env = env;
    this.shown = this.stamp = this.seen = 0;
    this.base = this.skew = env.now() - env.mono();
  }

  now() {
    const skew = this.env.now() - this.env.mono();
    if (abs(skew - this.skew) > 2_000) this.known = false;
    this.skew = skew;
    return (this.shown = max(this.shown, round(this.base + this.env.mono())));
  }

  tick() {
    return (this.stamp = max(stampOf(this.now()), this.stamp + 1, this.seen + 1));
  }

  measure(server, asked) {
    const now = this.env.mono();
    const shift = round(server + (now - asked) / 2 - now - this.base);
    if (this.known && abs(shift) < 2_000) return 0;
    this.base += shift;
    this.shown = 0;
    if (this.known) return 0;
    this.known = true;
    this.stamp = shifted(this.stamp, shift);
    return shift;
  }
}

function openStore(env, name) {
  const opened = new Promise((resolve, reject) => {
    const request = (env.indexedDB ?? indexedDB).open(name, 1);
    request.onupgradeneeded = () => ['queue', 'titles'].forEach((table) => request.result.createObjectStore(table, { keyPath: 'id' }));
    request.onsuccess = () => resolve(request.result);
    request.onerror = reject;
  });
  opened.catch(() => {}); // Without storage memory serves.
  const act = (table, work) => opened.then((base) => work(base.transaction(table, 'readwrite').objectStore(table))).catch(() => {});
  return {
    put: (table, values) => act(table, (store) => values.forEach((value) => store.put({ ...value, resolve: null }))),
    drop: (table, ids) => act(table, (store) => ids.forEach((id) => store.delete(id))),
    all: async (table) => (await act(table, (store) => new Promise((resolve) => {
      const request = store.getAll();
      request.onsuccess = request.onerror = () => resolve(request.result);
    }))) ?? [],
  };
}

class Link {
  constructor(sync) {
    Object.assign(this, { sync, env: sync.env, failures: 0, run: 0, next: 1, acks: new Map(), mode: 'offline' });
  }

  restart(wait, mode) {
    this.stop(mode);
    const { run } = this;
    this.timer = this.env.setTimeout(() => this.connect(run), wait);
  }

  stop(mode) {
    this.run++;
    this.env.clearTimeout(this.timer);
    this.env.clearTimeout(this.silence);
    this.abort?.abort();
    this.acks.forEach(({ reject }) => reject());
    this.acks.clear();
    this.enter(mode || 'offline');
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
    let wait, polled;
    try {
      const bearer = await sync._token();
      if (run !== this.run) return;
      this.abort = new AbortController();
      this.heard();
      wait = await this[way](run, bearer);
      polled = way === 'poll';
    } catch (error) {
      wait = error?.retry_after_ms;
    }
    if (run !== this.run) return;
    this.failures = env.mono() - begun >= MINUTE_MS ? 0 : polled && !quiet && this.failures > 11 ? 2 : this.failures + 1;
    const jitter = env.random() * min(quiet ? 300_000 : 30_000, 500 * 2 ** this.failures);
    this.restart((wait ?? 0) + (quiet ? 15_000 + jitter : polled ? 0 : jitter), polled && 'poll');
  }

  // Silent: given up.
  heard(asked) {
    this.env.clearTimeout(this.silence);
    this.silence = this.env.setTimeout(() => (asked ? this.abort.abort() : (this.tell({ type: 'ping' }), this.heard(true))), 20_000);
  }

  listen(run, token) {
    const { sync, env } = this;
    const socket = (this.socket = new env.WebSocket(sync.url.replace(/^http/, 'ws') + '/v1/ws', 'leftoff.v1'));
    const asked = env.mono();
    return new Promise((resolve) => {
      let wait;
      socket.onopen = () => this.tell({ type: 'hello', token, device_id: sync.deviceId, profiles: [sync.profileId], since: this.since });
      socket.onclose = () => resolve(wait);
      this.abort.signal.onabort = () => socket.close();
      socket.onmessage = ({ data }) => {
        if (run !== this.run) return;
        this.heard();
        const message = JSON.parse(data);
        const { type, id } = message;
        wait = message.retry_after_ms;
        const waiting = this.acks.get(id);
        this.acks.delete(id);
        if (type === 'welcome') {
          sync._time(message.server_time_ms, asked);
          sync._beat = message.heartbeat_ms;
          this.tried = false;
          this.since ??= message.cursor;
          this.enter('websocket');
          sync._state(true);
          sync.party?.enter();
        } else if (waiting) waiting[type === 'ack' ? 'resolve' : 'reject'](message);
        else this.push(message);
      };
    });
  }

  tell(message) {
    if (this.socket?.readyState === 1) this.socket.send(JSON.stringify(message));
  }

  send(body) {
    if (this.mode !== 'websocket') return this.sync._post('/v1/events', body);
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.acks.set(id, { resolve, reject });
      this.env.setTimeout(reject, 10_000);
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
    if (this.retry()) return 0;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    this.enter('sse');
    for (let rest = '', wait; ;) {
      const { value, done } = await reader.read();
      if (done || run !== this.run) return wait;
      this.heard();
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) {
        const field = (name) => new RegExp(`^${name}: (.*)`, 'm').exec(block)?.[1];
        this.since = field('id') ?? this.since;
        const message = { type: field('event'), ...JSON.parse(field('data') ?? '{}') };
        if (message.type) this.push(message);
        wait = message.retry_after_ms;
      }
    }
  }

  async poll() {
    const wait = this.sync.quiet || !this.since ? 0 : 25;
    const since = this.since ? `&since=${encodeURIComponent(this.since)}` : '';
    const { items, cursor } = await this.sync._ask(`${this.sync._path}/changes?wait=${wait}${since}`, { signal: this.abort.signal });
    for (const item of items) this.push(item);
    this.since = cursor;
    this.enter('poll');
    this.retry();
  }

  // Perhaps for sockets too.
  retry() {
    if (this.tried || this.sync.quiet) return;
    this.failures = 1;
    return (this.tried = true);
  }
}

const elementOf = (player) => player.getMediaElement?.() ?? player.media ?? player.el?.().querySelector('video, audio') ?? player;

const attachments = new WeakMap();

class Attachment {
  constructor(sync, media, options) {
    const before = attachments.get(media);
    if (sync.party?.attachment?.media === media) sync.party.attachment = this;
    before?.detach();
    attachments.set(media, this);
    this.strange = before?.titleId === options.titleId && before.sync.profileId !== sync.profileId;
    Object.assign(this, { sync, env: sync.env, media, options, titleId: options.titleId, off: new AbortController(), held: true, position: 0, aim: 1, took: 0, backs: 0 });
    for (const type of 'play playing pause seeking seeked timeupdate ended emptied loadedmetadata'.split(' ')) {
      listen(this.off, media, type, () => this[type]());
    }
    this.ready = this.begin();
  }

  async begin() {
    const shown = this.options.resume === false ? null : await this.sync.resume(this.titleId);
    if (this.off.signal.aborted) return shown;
    if (shown && !this.moved && !this.sync.party) {
      if (shown.started && !shown.completed) {
        this.follow(shown);
      } else if (this.strange) this.seek(0);
    }
    this.held = false;
    if (!this.media.paused && this.media.readyState > 2) this.playing();
    return shown;
  }

  get now() {
    return max(0, round(this.media.currentTime * 1_000));
  }

  get scrubs() {
    return this.scrub || this.target !== this.target || (this.media.seeking && !(abs(this.now - this.target) <= 1_500));
  }

  get duration() {
    const ms = round(this.options.durationMs ?? this.media.duration * 1_000);
    return ms > 0 && ms < 1e10 ? ms : undefined;
  }

  seek(ms) {
    this.sought = this.env.mono();
    this.position = ms;
    this.aim &&= ms || 1;
    this.aimed = NaN;
    if (this.media.readyState < 1) this.later = ms;
    else if (abs(this.now - ms) > 250) this.media.currentTime = (this.target = ms) / 1_000;
    else this.aimed = this.sought;
  }

  loadedmetadata() {
    if (abs(this.media.duration - this.length) < 1) this.gone = false;
    if (this.later != null) this.seek(this.later);
    this.later = null;
  }

  playing() {
    if (this.held || this.gone || this.plays) return;
    this.settle();
    this.start();
  }

  start(position, restart) {
    this.plays = true;
    this.aim = this.muted = 0;
    this.report('PLAY', position, restart);
  }

  play() {
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
    this.plays = this.sync._plays = false;
    this.report(kind, position);
  }

  seeking() {
    if (this.media.seeking && abs(this.now - this.target) > 1_500) delete this.target;
    if (this.target !== undefined || !this.media.readyState) return;
    const { aim } = this;
    const nudge = abs(this.now - this.position) < 1_000;
    if (nudge || (aim && this.now < 1_000 && !(this.env.mono() - this.aimed >= 1_000) && this.backs++ < 9)) {
      // A player's own.
      this.target = this.now;
      this.sought = this.env.mono();
      if (aim > 1 && !nudge) this.seek(aim);
    } else this.target = NaN, this.moved = true;
  }

  seeked() {
    if (this.media.seeking) return;
    const { target } = this;
    if (target >= 0) this.took = this.env.mono() - this.sought;
    if (this.aim > 1) this.aimed ||= this.env.mono();
    delete this.target;
    if (target >= 0 || this.gone || (this.media.loop && this.now < 1_000)) return;
    this.muted = 0;
    this.position = this.now;
    this.env.clearTimeout(this.scrub);
    this.scrub = this.env.setTimeout(() => this.settle(), 300);
  }

  settle() {
    if (!this.scrub) return;
    this.env.clearTimeout(this.scrub);
    this.scrub = 0;
    this.report('SEEK', this.position);
    this.sync.party?.act(true);
  }

  timeupdate() {
    if (this.media.seeking || this.media.ended || this.gone || this.scrub) return;
    this.position = this.now;
    const beat = this.duration - this.position <= MINUTE_MS ? 2_000 : this.sync._beat;
    if (this.plays && this.env.mono() - this.reported >= beat) this.report('HEARTBEAT');
  }

  emptied() {
    delete this.target;
    if (this.aim) return;
    this.gone = true;
    this.still('STOP', this.position);
  }

  // Moved, it stood where it was.
  report(kind, positionMs = this.media.seeking ? this.position : this.now, restart) {
    this.position = positionMs;
    this.reported = this.env.mono();
    this.length = this.media.duration || this.length;
    if (this.held || this.env.mono() < this.muted) return;
    const { seriesId, sessionId } = this.options;
    const speed = this.sync.party ? 1 : min(this.media.playbackRate, 16);
    this.sync.report({ kind, titleId: this.titleId, positionMs, durationMs: this.duration, seriesId, sessionId, restart, speed });
  }

  restart() {
    this.seek(0);
    this.moved = true;
    this.held = false;
    this.start(0, true);
    return this.media.play();
  }

  follow(shown = this.sync.view(this.titleId)) {
    if (!shown.started) return;
    this.sync._enter(this.titleId, shown);
    this.seek(shown.position_ms);
  }

  elsewhere(shown) {
    const { follow } = this.options;
    this.missed = this.sync.hidden;
    if (follow === false || this.held || this.gone || this.scrubs || this.sync.party) return;
    if (follow === 'always' || (this.media.paused && !this.missed)) this.follow(shown);
  }

  /** Ends. */
  detach() {
    this.still('STOP', this.position);
    this.off.abort();
    this.sync._attached.delete(this);
    if (this.sync.party?.attachment === this) this.sync.party.leave();
  }
}

/** How `position` gets to the anchor. */
export function correction(anchor, now, position) {
  const there = anchor.position_ms + (anchor.playing ? max(0, now - anchor.at_ms) * anchor.rate : 0);
  const off = position - there;
  if (abs(off) > (anchor.playing ? 3_000 : 250)) return { seek: round(there) };
  return { rate: anchor.rate * (!anchor.playing || abs(off) < 100 ? 1 : off > 0 ? 0.95 : 1.05) };
}

class Party {
  constructor(sync, { id, invite, token = invite }, attachment) {
    Object.assign(this, { sync, id, token, attachment, refused: 0 });
    this.enter();
    this.turn();
  }

  enter() {
    this.sync._link.tell({ type: 'party.join', id: this.id, token: this.token, profile_id: this.sync.profileId });
  }

  turn() {
    this.apply();
    this.paused = this.attachment?.media.paused;
    if (this.refused) this.enter();
    this.timer = this.sync.env.setTimeout(() => this.turn(), 1_000);
  }

  pushed({ type, id, over, anchor }) {
    if (id !== this.id) return;
    // A node may not know it yet.
    this.refused = type === 'error' && this.refused + 1;
    if (this.refused === 1) this.enter();
    if (over || this.refused > 6) this.end();
    if (!anchor || anchor.stamp < this.anchor?.stamp) return;
    this.anchor = { ...anchor, at_ms: this.sync._clock.now() - anchor.age_ms };
    this.apply(true);
  }

  apply(anew) {
    const { anchor, attachment } = this;
    if (!anchor || !attachment || attachment.scrubs) return;
    const { media, titleId } = attachment;
    if ((anchor.title_id ?? titleId) !== titleId) return;
    if (media.paused !== this.paused) return; // Its event comes.
    const { seek, rate } = correction(anchor, this.sync._clock.now(), attachment.now);
    // Awaited; the next is ahead.
    if (seek !== undefined && (anew || !media.seeking)) attachment.seek(seek + anchor.playing * min(attachment.took, 3_000));
    media.playbackRate = rate ?? anchor.rate;
    if (anchor.playing === media.paused) anchor.playing ? media.play().catch(() => {}) : media.pause();
    this.paused = media.paused;
  }

  // A stall moves nobody.
  act(sought) {
    const { anchor, attachment } = this;
    if (!attachment) return;
    const { media, now, titleId } = attachment;
    this.paused = media.paused;
    if (anchor && anchor.playing !== media.paused && (!sought || correction(anchor, this.sync._clock.now(), now).seek === undefined)) return;
    this.control({ position_ms: now, rate: anchor?.rate ?? 1, playing: !media.paused, title_id: titleId });
  }

  control(anchor) {
    this.anchor = { stamp: 0, ...this.anchor, ...anchor, at_ms: this.sync._clock.now() };
    this.sync._link.tell({ type: 'party.control', ...anchor, id: this.id });
  }

  leave() {
    this.sync._link.tell({ type: 'party.leave', id: this.id });
    this.end();
  }

  end() {
    this.sync.env.clearTimeout(this.timer);
    this.sync.party = null;
    if (this.attachment) this.attachment.media.playbackRate = this.anchor?.rate ?? 1;
  }
}

const listen = ({ signal }, target, type, act) => target?.addEventListener?.(type, act, { signal });

function platform() {
  const window = globalThis;
  const env = { window, document: window.document, locks: window.navigator?.locks, now: Date.now, random: Math.random, mono: () => performance.now() };
  for (const name of 'setTimeout clearTimeout fetch WebSocket BroadcastChannel'.split(' ')) env[name] = window[name]?.bind(window);
  return env;
}

/** One device, in step with a node. */
export class Leftoff {
  party = null;
  _heads = new Map();
  _titles = new Map();
  _own = new Set();
  _attached = new Set();
  _listeners = {};
  _off = new AbortController();
  _queue = [];
  _count = 1e9; // Sorted as text.
  _failures = 0;
  _beat = 10_000;

  constructor({ url = location.origin, token, deviceId, profileId, live = true, saveEnergy = false, env }) {
    if (!profileId) throw new TypeError('leftoff: no profileId');
    Object.assign(this, { env: { ...platform(), ...env }, url: url.replace(/\/+$/, ''), token, profileId, live, saveEnergy });
    this._path = `/v1/profiles/${encodeURIComponent(profileId)}`;
    this._tab = this._name();
    this.deviceId = deviceId ?? this._device();
    this._clock = new Clock(this.env);
    this._store = openStore(this.env, `leftoff ${this.url}`);
    this._link = new Link(this);
    const { document, window } = this.env;
    this._hold();
    try {
      this._channel = new this.env.BroadcastChannel(`leftoff ${this.url} ${profileId} ${this.deviceId}`);
      this._channel.onmessage = ({ data }) => this._neighbour(data);
    } catch {}
    listen(this._off, document, 'visibilitychange', () => (this.hidden ? this._leave('HEARTBEAT') : this._wake()));
    listen(this._off, window, 'pagehide', () => this._leave('STOP'));
    listen(this._off, window, 'pageshow', ({ persisted }) => persisted && (this._hold(), this._wake()));
    listen(this._off, window, 'online', () => this._wake());
    this._ready = this._within(this._load());
    if (live) this._link.restart();
  }

  /** In the background. */
  get hidden() {
    return this.env.document?.visibilityState === 'hidden';
  }

  /** And plays nothing. */
  get quiet() {
    return this.hidden && !this._plays;
  }

  /** Keeps a player in step. */
  attach(player, options) {
    const attachment = new Attachment(this, elementOf(player), options);
    this._attached.add(attachment);
    return attachment;
  }

  /** Listens; answers how to end. */
  on(type, listener) {
    (this._listeners[type] ??= new Set()).add(listener);
    return () => this._listeners[type].delete(listener);
  }

  /** Reports what a player did. */
  report(event) {
    const now = this._clock.now();
    const full = this._event(event);
    const { kind, title_id } = full;
    const at_ms = (full.at_ms = full.at_ms ? min(now, round(now + full.at_ms - this.env.now())) : now);
    const live = now - at_ms < MINUTE_MS ? this._clock.tick() : null;
    const shown = this.view(title_id);
    const view = { ...shown, places: placesOf(shown) };
    const head = this._heads.get(title_id) ?? Playhead.start(full, at_ms, live, view);
    this._heads.set(title_id, head);
    const { version, delta } = head.report(full, at_ms, live, view);
    if (kind !== 'SEEK') this._plays = STATES[kind] === 'playing';
    if (!delta) return shown;
    if (!this._clock.known) {
      head.unsure = true;
      this._made(version, now);
    }
    this._enqueue({ ...full, version, stepped_back: delta.stepped_back || undefined }, delta);
    return this.view(title_id);
  }

  /** What is known of a title. */
  view(titleId, policy, shown) {
    const title = this._title(titleId);
    title.own = title.own.filter(({ kept }) => !(this.env.mono() - kept >= MINUTE_MS));
    return overlay(shown ?? title.shown ?? { ...UNSEEN, profile_id: this.profileId, title_id: titleId }, title.own, policy);
  }

  /** Where to resume. Never fails. */
  async resume(titleId, { policy = 'continue' } = {}) {
    const title = this._title(titleId);
    let other;
    const known = this._ask(`${this._path}/titles/${encodeURIComponent(titleId)}?policy=${policy}`).then((shown) => {
      if (policy !== 'continue') other = shown;
      else if (title === this._title(titleId)) {
        const before = this.view(titleId);
        this._learn(shown);
        if (!shown.completed) this._changed(titleId, before);
      }
    }).catch(() => {});
    await this._within(Promise.all([known, this._ready]));
    return this.view(titleId, policy, other);
  }

  /** Moves an app's positions in. */
  async migrate(entries) {
    const moved = entries.slice(0, 500).map((entry) => new Promise((resolve) => this._enqueue(this._event({ kind: 'PAUSE', atMs: 1, ...entry }), null, resolve)).catch(() => ({ code: 'malformed' })));
    return [...await Promise.all(moved), ...(entries[500] ? await this.migrate(entries.slice(500)) : [])];
  }

  /** Makes a party. */
  createParty(body) {
    return this._post('/v1/parties', { profile_id: this.profileId, device_id: this.deviceId, ...body });
  }

  /** Joins it. */
  joinParty(party, attachment) {
    this.party?.leave();
    return (this.party = new Party(this, party, attachment));
  }

  /** A new token. */
  setToken(token) {
    this.token = token;
    if (this.live) this._link.restart();
  }

  /** Sends what waits. */
  async flush() {
    if (this._sending) return;
    this._sending = true;
    this.env.clearTimeout(this._again);
    let batch = [];
    try {
      await this._ready;
      while ((batch = this._batch()).length) {
        let asked = this.env.mono();
        if (!this._clock.known) this._kept([], await this._post('/v1/events', { events: [] }), asked);
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

  /** Ends. */
  close() {
    for (const attachment of this._attached) attachment.detach();
    this.party?.leave();
    this._save();
    this._off.abort();
    this.live = false;
    this._free?.();
    this._channel = this._channel?.close();
    this.env.clearTimeout(this._again);
    this.env.clearTimeout(this._calm);
    this._link.stop();
  }

  _within(work) {
    return Promise.race([work, new Promise((resolve) => this.env.setTimeout(resolve, 800))]);
  }

  // None takes over what waits.
  _hold() {
    this.env.locks?.request(this._tab, () => new Promise((resolve) => (this._free = resolve))).catch(() => {});
  }

  _say(type, message) {
    // What one throws is told as uncaught.
    for (const listener of this._listeners[type] ?? []) new Promise(() => listener(message));
  }

  _name() {
    return `leftoff ${this.env.now().toString(36)}${this.env.random().toString(36).slice(1)}`;
  }

  _device() {
    try {
      return (this.env.window.localStorage['leftoff.device'] ??= this._tab.slice(8));
    } catch {
      return this._tab.slice(8);
    }
  }

  async _token() {
    return (this._bearer = typeof this.token === 'function' ? await this.token() : this.token);
  }

  async _fetch(path, init) {
    // A page that goes waits for no preflight.
    const bearer = !init?.keepalive && (await this._token());
    const answer = await this.env.fetch(this.url + path, { cache: 'no-store', signal: AbortSignal.timeout?.(20_000), ...init, headers: { ...init?.headers, ...(bearer && { authorization: `Bearer ${bearer}` }) } });
    if (!answer.ok) throw await answer.json();
    return answer;
  }

  async _ask(path, init) {
    return (await this._fetch(path, init)).json();
  }

  _post(path, body, keepalive) {
    return this._ask(path, { method: 'POST', body: JSON.stringify(body), keepalive });
  }

  _event(told) {
    const event = { profile_id: this.profileId, device_id: this.deviceId };
    for (const name in told) event[name.replace(/[A-Z]/g, '_$&').toLowerCase()] = told[name] || undefined;
    event.position_ms = max(0, round(told.positionMs ?? told.position_ms));
    if (!STATES[event.kind] || !event.title_id || !(event.position_ms <= 1e10)) throw new TypeError('leftoff: kind, titleId, positionMs');
    return event;
  }

  _title(id) {
    const title = this._titles.get(id) ?? { id: JSON.stringify([this.profileId, id]), own: [] };
    this._titles.set(id, title);
    return title;
  }

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
    const id = `${this._tab} ${this._count++}`;
    const record = { id, tab: this._tab, unsure: !this._clock.known, event, resolve };
    this._queue.push(record);
    this._store.put('queue', [record]);
    const beats = this._queue.filter(({ event, flying }) => event.kind === 'HEARTBEAT' && !flying);
    const [oldest = this._queue[0]] = beats;
    if (this._queue.length > 1_000) {
      this._drop([oldest]);
      oldest.resolve?.({ code: 'queue_full' });
    }
    if (delta) {
      const own = this._lay(event, delta, id);
      this._channel?.postMessage(own);
      this._state();
    }
    if (!this.saveEnergy || beats.length > 2 || event.kind !== 'HEARTBEAT') this.flush();
  }

  _drop(records) {
    this._queue = this._queue.filter((record) => !records.includes(record));
    this._store.drop('queue', records.map(({ id }) => id));
  }

  _lay(event, { version, position_ms, touched, ended, stepped_back }, id) {
    const title = this._title(event.title_id);
    const before = title.own.filter((one) => one.version === version && one.id);
    const [place] = joinPlace(before, { version, position_ms, touched, ended });
    const own = { ...event, ...place, last_ms: position_ms, touched, stepped_back, state: STATES[event.kind], speed: event.speed ?? 1, id };
    title.own = [...title.own.filter((one) => !before.includes(one)), own];
    return own;
  }

  _neighbour(own) {
    const title = this._title(own.title_id);
    const before = this.view(own.title_id);
    title.own = [...title.own.filter((one) => one.id || one.version !== own.version), { ...own, id: null, kept: this.env.mono() }];
    this._changed(own.title_id, before);
    for (const attachment of this._attached) {
      // For a while: the other may be killed.
      if (attachment.titleId === own.title_id && attachment.plays && (own.kind !== 'HEARTBEAT' || attachment.muted)) attachment.muted = /PAUSE|STOP|END/.test(own.kind) ? 0 : this.env.mono() + 3 * this._beat;
    }
  }

  _changed(id, before) {
    const shown = this.view(id);
    this._say('progress', shown);
    // An echo moves nothing.
    if (['version', 'high_ms', 'position_ms'].every((part) => shown[part] === before[part])) return;
    for (const attachment of this._attached) if (attachment.titleId === id) attachment.elsewhere(shown);
  }

  _learn(shown) {
    const title = this._title(shown.title_id);
    title.shown = shown;
    for (const { version, touched_ms } of shown.places) this._clock.seen = max(this._clock.seen, version, stampOf(touched_ms + 1));
    this._store.put('titles', [{ id: title.id, shown }]);
  }

  _pushed(message) {
    const { type, title_id } = message;
    if ((message.profile_id ?? this.profileId) !== this.profileId) return;
    this.party?.pushed(message);
    if (type === 'erased' || type === 'reset') {
      this._store.drop('titles', [...this._titles.values()].map(({ id }) => id));
      for (const title of this._titles.values()) title.shown = undefined;
      if (type === 'erased') this._titles.clear(), this._heads.clear();
    }
    if (type !== 'progress' && type !== 'hidden') return this._say(type, message);
    const before = this.view(title_id);
    // What was asked before is older.
    this._titles.set(title_id, { ...this._title(title_id) });
    this._learn(message);
    this._changed(title_id, before);
  }

  _state(anew) {
    const state = this._plays ? 'playing' : this.hidden ? 'background' : 'paused';
    if (anew || state !== this._told) this._link.tell({ type: 'state', state, profile_id: this.profileId, title_id: [...this._attached][0]?.titleId });
    this._told = state;
    this.env.clearTimeout(this._calm);
    if (this.quiet && this.live) this._calm = this.env.setTimeout(() => this.quiet && this._link.restart(), 10_000);
  }

  // The oldest, or as it goes the last.
  _batch(going) {
    let bytes = 0;
    const free = this._queue.filter(({ flying }) => !flying && !this._off.signal.aborted);
    const fits = ({ event }) => (bytes += new Blob([JSON.stringify(event)]).size) < 60_000;
    if (going) free.reverse();
    const batch = free.slice(0, 500).filter((record, index) => fits(record) || !index);
    for (const record of batch) record.flying = true;
    return going ? batch.reverse() : batch;
  }

  _body(batch) {
    return { sent_at_ms: this._clock.now(), events: batch.map(({ event, unsure }) => (unsure ? { ...event, version: undefined, stepped_back: undefined } : event)) };
  }

  _kept(batch, { refused, server_time_ms }, asked) {
    this._time(server_time_ms, asked);
    this._drop(batch);
    batch.forEach(({ id, event, resolve }, index) => {
      const reason = refused.find((one) => one.index === index);
      const title = this._title(event.title_id);
      for (const own of title.own) if (own.id === id) own.kept = reason ? -Infinity : this.env.mono();
      if (reason) this._say('refused', { ...reason, event });
      resolve?.(reason ?? null);
      this._learn(this.view(event.title_id));
    });
  }

  _time(server, asked) {
    const shift = this._clock.measure(server, asked);
    const moved = (version) => (this._own.has(version) ? shifted(version, shift) : version);
    const unsure = this._queue.filter((record) => record.unsure);
    for (const record of unsure) {
      const { event } = record;
      if (event.at_ms > 1e12) event.at_ms += shift;
      event.version = moved(event.version);
      record.unsure = false;
      for (const own of this._title(event.title_id).own) if (own.id === record.id) Object.assign(own, { version: event.version, touched: shifted(own.touched, shift) });
    }
    for (const head of this._heads.values()) {
      if (head.unsure) head.restamp(shift, moved);
      head.unsure = false;
    }
    if (unsure.length) this._store.put('queue', unsure);
    this._own.clear();
  }

  async _load() {
    const { held = [] } = (await this.env.locks?.query().catch(() => {})) ?? {};
    const records = (await this._store.all('queue')).filter(({ tab, event }) => event.profile_id === this.profileId
      && event.device_id === this.deviceId && tab !== this._tab && !held.some(({ name }) => name === tab));
    for (const record of records) {
      Object.assign(record, { tab: this._tab, flying: false });
      const { event, id, unsure } = record;
      if (unsure) this._made(event.version, event.at_ms);
      if (event.version != null) this._lay(event, { ...event, touched: stampOf(event.at_ms), ended: event.kind === 'END' }, id);
    }
    this._queue.unshift(...records);
    this._store.put('queue', records);
    for (const { shown } of await this._store.all('titles')) {
      if (shown.profile_id === this.profileId) this._title(shown.title_id).shown ??= shown;
    }
    for (const attachment of this._attached) if (attachment.options.resume !== false) attachment.elsewhere(this.view(attachment.titleId));
    if (records.length) this.flush();
  }

  _leave(kind) {
    const now = this.env.mono();
    if (kind !== 'STOP' || !(now - this._left < 1_000)) {
      for (const attachment of this._attached) {
        attachment.settle();
        if (attachment.plays) kind === 'STOP' ? attachment.still(kind) : attachment.report(kind);
      }
    }
    this._left = now;
    this._save();
    if (kind !== 'STOP') return this._state();
    // It may come back.
    this._link.stop();
    this._free?.();
  }

  _save() {
    const batch = this._batch(true);
    if (!batch.length) return;
    const asked = this.env.mono();
    this._post('/v1/events', { ...this._body(batch), token: this._bearer }, true).then((answer) => this._kept(batch, answer, asked)).catch(() => this._land(batch));
    this._store.put('queue', batch);
  }

  _land(records) {
    for (const record of records) record.flying = false;
  }

  _wake() {
    if (this._left) this._land(this._queue);
    this._left = 0;
    for (const attachment of this._attached) {
      if (!attachment.media.paused) attachment.playing();
      if (attachment.missed) attachment.elsewhere(this.view(attachment.titleId));
    }
    if (this.live && this._link.mode !== 'websocket') {
      this._link.failures = 0;
      this._link.restart();
    }
    this._state();
    this.flush();
  }
}
