// Why a position won, in plain language. Pure: what was reported and what a region holds go in, sentences come out.
//
// The rule that everything here puts into words: a deliberate move opens a new place, and the newest place is where to resume; inside a place
// the position only grows; a report counts in the place that its player is in. A place is named by its version, the stamp of the move.
import { lasting, position } from './dom.js';

const NOUNS = { PLAY: 'start', HEARTBEAT: 'heartbeat', PAUSE: 'pause', SEEK: 'seek', STOP: 'stop', END: 'end' };
// Further ones are forgotten, oldest first: a register keeps eight.
const MOVES_COUNT_MAX = 200;
// People see seconds.
const SECOND_MS = 1_000;

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const list = (words) => (words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`);
const newest = (progress) => (progress?.started ? progress.version : -1);
const high = (progress) => (progress?.started ? progress.high_ms : 0);

/** Remembers which move opened which place, and tells what each report and each change means. */
export class Reasons {
  #moves = new Map();
  #names;

  /** `names`: what the page calls its devices, by id. */
  constructor(names = {}) {
    this.#names = names;
  }

  /** What a device is called in a sentence. */
  device(id) {
    return this.#names[id] ?? (id ? `device ${id}` : 'a device');
  }

  /** Takes note that a report opened a place. */
  noteMove(version, move) {
    if (version === undefined || this.#moves.has(version)) return;
    this.#moves.set(version, move);
    if (this.#moves.size > MOVES_COUNT_MAX) this.#moves.delete(this.#moves.keys().next().value);
  }

  /** The move that opened a place: "the phone's seek to 0:20". */
  opener(version) {
    const move = this.#moves.get(version);
    if (move) return `${this.device(move.device_id)}'s ${move.restart ? 'start from the beginning' : `${NOUNS[move.kind] ?? 'move'} to ${position(move.position_ms)}`}`;
    if (version === 0) return 'the first start';
    // A version is a hybrid logical clock reading: Unix milliseconds << 10, and a counter.
    return `a move at ${new Date(Math.floor(version / 1024)).toLocaleTimeString([], { hour12: false })}`;
  }

  /**
   * A report that its region has acknowledged. `before` and `after` are what the region held; `apart` is its name while the regions differ, and it
   * speaks only for itself.
   *
   * @returns {{tone: 'won'|'kept'|'info', key?: string, words: string, reason: string}}
   */
  report(sent, before, after, apart) {
    const place = apart ? `the newest place that ${apart} knows of` : 'the newest place';
    const who = capital(this.device(sent.device_id));
    const noun = NOUNS[sent.kind] ?? 'report';
    const at = position(sent.position_ms);
    const version = sent.version ?? newest(after);
    const opens = version > newest(before) && newest(before) >= 0 && (sent.kind === 'SEEK' || sent.restart);
    if (opens) {
      this.noteMove(version, sent);
      const lower = sent.position_ms < high(before);
      return {
        tone: 'won',
        words: sent.restart ? `${who} starts from the beginning: resume at ${at}.` : `${who} seeks to ${at}: resume there.`,
        reason: `A deliberate move opens a new place, and the newest place wins${lower ? `, also though ${at} is before ${position(high(before))}, which stays as a way back` : ''}.`,
      };
    }
    if (version < newest(after)) {
      return {
        tone: 'kept',
        key: `old ${sent.device_id} ${version}`,
        words: `${who}'s ${noun} at ${at} is from before ${this.opener(newest(after))}: ignored for resuming.`,
        reason: `It counts in the older place where ${this.device(sent.device_id)} still is; ${position(after.position_ms)} stays.`,
      };
    }
    if (sent.position_ms < high(after) && sent.kind === 'SEEK') {
      return {
        tone: 'won',
        words: `${who} steps back to ${at}, less than a minute.`,
        reason: 'A small step opens no place: here it is resumed to the second, and ten taps weigh no more than none.',
      };
    }
    if (sent.position_ms < high(after) && sent.kind === 'PLAY') {
      return { tone: 'kept', words: `${who} starts at ${at}, behind ${position(high(after))} in the same place.`, reason: 'Opening a title on a device that is behind lowers nothing.' };
    }
    if (sent.position_ms < high(after)) {
      return {
        tone: 'kept',
        key: `behind ${sent.device_id} ${version}`,
        words: `${who}'s ${noun} at ${at} is behind ${position(high(after))} in the same place.`,
        reason: 'Inside a place the position only grows: a late or repeated report drags nothing back.',
      };
    }
    if (sent.kind === 'HEARTBEAT' && before?.started && sent.position_ms === high(before) && newest(before) === version) {
      return { tone: 'kept', key: `idle ${sent.device_id}`, words: `${who} says ${at} again.`, reason: 'A repeat is nothing: an idle screen never passes for activity.' };
    }
    if (sent.kind === 'PAUSE' || sent.kind === 'STOP') {
      return { tone: 'won', words: `Paused on ${this.device(sent.device_id)} at ${at}: resume there.`, reason: `The furthest report in ${place}.` };
    }
    if (sent.kind === 'END') return { tone: 'won', words: `Watched to the end on ${this.device(sent.device_id)}.`, reason: 'A title that has ended leaves the continue-watching row.' };
    return {
      tone: 'won',
      key: `on ${sent.device_id} ${version}`,
      words: `${who} plays ${newest(before) < 0 ? 'from' : 'on to'} ${at}: the resume point follows.`,
      reason: `The furthest report in ${place}.`,
    };
  }

  /**
   * What a change that came from elsewhere means for regions, which all went from `before` to `after`; null if nothing that is worth a line.
   * Lines of one `key` that follow each other are one line.
   */
  arrival(names, before, after) {
    if (!after.started) return null;
    const [from, to] = [position(before?.position_ms ?? 0), position(after.position_ms)];
    const many = names.length > 1;
    const who = `Region${many ? 's' : ''} ${list(names)}`;
    if (!before?.started) return { tone: 'info', words: `${who} ${many ? 'learn' : 'learns'} of the film: resume at ${to}.`, reason: '' };
    if (after.version > before.version) {
      const back = before.high_ms > 0 ? ` ${position(before.high_ms)} stays as a way back.` : '';
      return {
        tone: 'won', words: `${who} now ${many ? 'resume' : 'resumes'} at ${to} instead of ${from}.`,
        reason: `${capital(this.opener(after.version))} is the newest deliberate move.${back}`,
      };
    }
    if (after.version === before.version && after.high_ms > before.high_ms) {
      const device = after.device_id ? this.device(after.device_id) : 'somebody';
      return {
        tone: 'info', key: `follows ${after.version} ${after.device_id}`, words: `${who} ${many ? 'follow' : 'follows'} ${device} to ${to}.`,
        reason: 'The same place, further on: both sides join, the greater position stays.',
      };
    }
    const known = new Map((before.places ?? []).map((place) => [place.version, place.position_ms]));
    const grown = after.places.filter((place) => place.version !== after.version && place.position_ms - (known.get(place.version) ?? -SECOND_MS) >= SECOND_MS);
    if (grown.length === 0) return null;
    return {
      tone: 'kept', key: `older ${who} ${grown[0].version}`,
      words: `${who} ${many ? 'learn' : 'learns'} of ${list(grown.map((place) => position(place.position_ms)))} in an older place; ${to} stays.`,
      reason: `${capital(this.opener(after.version))} is newer. What was watched elsewhere is kept as a way back.`,
    };
  }

  /** All regions agree again after they differed for so long. */
  agreement(differedMs, progress) {
    const others = progress.places.filter((place) => place.version !== progress.version).slice(0, 3).map((place) => position(place.position_ms));
    const won = progress.version === 0 || !progress.started ? 'The furthest report wins' : `${capital(this.opener(progress.version))} is the newest deliberate move and wins`;
    return {
      tone: 'won',
      words: `All three regions agree again on ${position(progress.position_ms)}, after ${lasting(differedMs)} apart.`,
      reason: `${won}.${others.length > 0 ? ` Kept as ways back: ${list(others)}.` : ''}`,
    };
  }
}
