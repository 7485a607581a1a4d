// One screen: a video, what its viewer can do with it, and the line to its node. What is recorded and resumed is the client library's matter.
import { el, icon, position, say, toggle } from './dom.js';
import { Line } from './line.js';

const CLOCKS = [
  ['0', 'right'],
  ['86400000', 'a day fast'],
  ['-86400000', 'a day slow'],
  ['90000', '90 s fast'],
];
const STEP_BACK_S = 10;
const JUMP_S = 90;

const label = (player) => (player.kind === 'tv' ? 'TV' : player.kind);

/** A player of `region` on a screen of `kind` (`tv`, `laptop`, `phone`). */
export class Player {
  constructor({ Leftoff, region, kind, label, deviceId, world, clip, told }) {
    Object.assign(this, { region, kind, label, deviceId, durationMs: world.duration_ms, titleId: world.title_id });
    this.line = new Line((what) => told(this, what));
    this.video = el('video', { playsinline: true, preload: 'auto', 'aria-label': `${label}: Night train`, tabindex: '-1' });
    this.video.muted = true;
    this.video.src = clip;
    this.sync = new Leftoff({
      url: region.url || location.origin, deviceId, profileId: world.profile_id,
      env: this.line.env(),
    });
    this.attached = this.sync.attach(this.video, { titleId: world.title_id, durationMs: world.duration_ms });
    this.element = this.#build();
    for (const name of ['timeupdate', 'play', 'pause', 'seeked', 'ended', 'loadedmetadata']) this.video.addEventListener(name, () => this.#draw());
    this.#draw();
  }

  #build() {
    this.playButton = el('button', { type: 'button', class: 'play', click: () => this.playOrPause() });
    this.range = el('input', {
      type: 'range', min: '0', max: String(this.durationMs / 1000), step: '1', value: '0', 'aria-label': `Position on ${this.label}`,
      input: () => this.#drawTime(Number(this.range.value)),
      change: () => this.seek(Number(this.range.value) * 1000),
    });
    this.marks = el('span', { class: 'marks', 'aria-hidden': 'true' });
    this.time = el('span', { class: 'time' });
    this.veil = el('p', { class: 'veil', hidden: true }, 'Offline: it plays on and keeps its reports');
    const at = el('span', {});
    this.time.append(at, el('span', { class: 'quiet' }, ` / ${position(this.durationMs)}`));
    this.timeAt = at;
    const button = (words, click) => el('button', { type: 'button', class: 'button', 'aria-label': `${words} on ${this.label}`, click }, words);
    this.offlineSwitch = toggle(`Take the ${label(this)} offline`, (on) => this.setOffline(on), { danger: true });
    this.viewers = el('span', { class: 'quiet' });
    this.partySwitch = toggle('Watch party', (on) => this.onParty?.(this, on));
    this.partySwitch.setAttribute('aria-label', `Watch party on the ${label(this)}`);
    this.partySwitch.lastChild.append(this.viewers);
    const id = `clock-${this.deviceId}`;
    this.clock = el('select', { id, change: () => { this.line.clockMs = Number(this.clock.value); this.onClock?.(this, this.clock.selectedOptions[0].textContent); } },
      ...CLOCKS.map(([value, words]) => el('option', { value }, words)));
    return el(
      'div', { class: 'player', 'data-device': this.deviceId },
      el('div', { class: `screen ${this.kind}` }, this.video, this.veil, el('p', { class: 'tag' }, icon(this.kind), this.label)),
      el('div', { class: 'transport' }, this.playButton, el('div', { class: 'seek' }, this.marks, this.range), this.time),
      el('div', { class: 'row' },
        button('−10 s', () => this.seek(this.video.currentTime * 1000 - STEP_BACK_S * 1000)),
        button('+90 s', () => this.seek(this.video.currentTime * 1000 + JUMP_S * 1000)),
        button('Start over', () => this.startOver())),
      el('div', { class: 'options' }, this.offlineSwitch, this.partySwitch,
        el('span', { class: 'clock' }, el('label', { for: id }, 'Its clock is'), this.clock)),
    );
  }

  /** Plays, or pauses. */
  playOrPause() {
    return this.video.paused ? this.play() : this.pause();
  }

  async play() {
    // A browser may refuse to play what nobody has touched; the button is there for that.
    await this.video.play().catch(() => {});
  }

  pause() {
    this.video.pause();
  }

  /** Jumps, as a viewer would. */
  seek(ms) {
    this.video.currentTime = Math.min(Math.max(ms / 1000, 0), this.durationMs / 1000);
  }

  /** The viewer chose to start from the beginning. */
  startOver() {
    this.attached.restart();
  }

  /** Takes the device off its line, or puts it back. */
  setOffline(on) {
    this.offlineSwitch.set(on);
    this.veil.hidden = !on;
    this.line.setOffline(on);
    this.onOffline?.(this, on);
  }

  /** Shows how many are in the party; 0 for none. */
  showViewers(count) {
    say(this.viewers, count > 0 ? ` with ${count}` : '');
  }

  /** Shows where the places of the title are. */
  showPlaces(progress) {
    this.marks.replaceChildren(...(progress?.started ? progress.places : []).map((place) => {
      const mark = el('i', { class: place.version === progress.version ? 'mark newest' : 'mark' });
      mark.style.left = `${(place.position_ms / this.durationMs) * 100}%`;
      return mark;
    }));
  }

  #draw() {
    const { paused, currentTime } = this.video;
    const state = paused ? 'play' : 'pause';
    if (this.playButton.dataset.icon !== state) {
      this.playButton.dataset.icon = state;
      this.playButton.replaceChildren(icon(state));
      this.playButton.setAttribute('aria-label', `${paused ? 'Play' : 'Pause'} on ${this.label}`);
    }
    if (document.activeElement !== this.range || !this.range.matches(':active')) {
      this.range.value = String(Math.floor(currentTime));
      this.#drawTime(currentTime);
    }
  }

  #drawTime(seconds) {
    say(this.timeAt, position(seconds * 1000));
    this.range.setAttribute('aria-valuetext', `${position(seconds * 1000)} of ${position(this.durationMs)}`);
    this.range.style.setProperty('--done', `${(seconds * 100_000) / this.durationMs}%`);
  }
}
