/** Types of leftoff.js: keeps people's place in a browser. The guide is docs/web.md. Times and positions are in milliseconds. */

/** Which of several positions to resume at. */
export type Policy = 'continue' | 'furthest' | 'last_activity';
/** What happened in a player. */
export type Kind = 'PLAY' | 'HEARTBEAT' | 'PAUSE' | 'SEEK' | 'STOP' | 'END';

/** A point that a viewer chose, and how far watching went on from there. */
export interface Place {
  /** Which deliberate move opened it; 0 is the place that every title starts in. */
  version: number;
  /** How far watching went from it. */
  position_ms: number;
  /** When it was last reported in, Unix ms. */
  touched_ms: number;
}

/** What is known of one profile in one title, as the node answers it. */
export interface Progress {
  /** Whose. */
  profile_id: string;
  /** Of what. */
  title_id: string;
  /** What it is an episode of, if somebody said. */
  series_id?: string;
  /** Whether anything was recorded. If not, everything is 0: start at the beginning. */
  started: boolean;
  /** Where to resume. */
  position_ms: number;
  /** The newest place. `(version, high_ms)` never decreases for a watcher of one node. */
  version: number;
  /** How far watching went in the newest place. */
  high_ms: number;
  /** The way back: the newest places, newest first. */
  places: Place[];
  /** How long the title is, if somebody said. */
  duration_ms?: number;
  /** Whether the newest place was watched to its end, or to 95 % of the title. */
  completed: boolean;
  /** How far watching ever went, in any place. */
  furthest_ms: number;
  /** `playing`, `paused`, `seeking`, `stopped` or `ended`: what was last done (null or nothing before anything was), */
  state?: string | null;
  /** on which device, */
  device_id?: string | null;
  /** at which rate, */
  speed?: number;
  /** and when, Unix ms. */
  at_ms?: number | null;
  /** Removed from the continue-watching row. */
  hidden?: boolean;
  /** Where this stands among the changes of the node that told it. */
  cursor?: string;
}

/** A report. The names of the HTTP API (`title_id`, `position_ms`, ...) are taken too. */
export interface Report {
  /** What happened. */
  kind: Kind;
  /** Of what. Another cut is another title. */
  titleId: string;
  /** Where. */
  positionMs: number;
  /** How long the title is. */
  durationMs?: number;
  /** What it is an episode of. */
  seriesId?: string;
  /** The playback session that it goes on with (`POST /v1/sessions`). */
  sessionId?: string;
  /** With `PLAY`: the viewer chose to start from the beginning. */
  restart?: boolean;
  /** Playback rate, above 0 and at most 16. Default 1. */
  speed?: number;
  /** When, by this device's clock. Default: now. */
  atMs?: number;
}

/** A token, or a function that answers the present one; it is asked for each request and each connection. */
export type Token = string | (() => string | Promise<string>);

/** Options of {@link Leftoff}. */
export interface Options {
  /** The node. Default: the page's own origin. */
  url?: string;
  /** A JWT. Not needed for a node in development. */
  token?: Token;
  /** This device, unique in the profile. Default: a name made once and kept in `localStorage`. */
  deviceId?: string;
  /** Whose progress. */
  profileId: string;
  /** Whether to hear of other devices. Default true; without it nothing but reports and reads is sent. */
  live?: boolean;
  /** Sends three heartbeats in one request. What they say is up to half a minute later elsewhere; everything else goes at once. */
  saveEnergy?: boolean;
  /** For tests: what to use instead of the browser's clocks, timers, network and storage. */
  env?: Record<string, unknown>;
}

/** Options of {@link Leftoff.attach}. */
export interface AttachOptions {
  /** What is played. Another cut is another title. */
  titleId: string;
  /** Length of the title. Default: what the element says. */
  durationMs?: number;
  /** What it is an episode of. */
  seriesId?: string;
  /** The playback session that it goes on with (`POST /v1/sessions`). */
  sessionId?: string;
  /** Whether to go where the title is to be resumed. Default true; a completed title starts at its beginning. */
  resume?: boolean;
  /** Whether to go where another device is: `'idle'` (default) while nothing plays here, `'always'`, or `false`. */
  follow?: 'idle' | 'always' | false;
}

/** An element in step with a title. */
export interface Attachment {
  /** Settled when the element is where it resumes; null if it was not to. */
  readonly ready: Promise<Progress | null>;
  /** The element itself, also of a player around it. */
  readonly media: HTMLMediaElement;
  /** From the beginning, because the viewer chose so. */
  restart(): Promise<void>;
  /** Goes where the title was left elsewhere, also while it plays here. */
  follow(progress?: Progress): void;
  /** Ends, with a report of where it stood. */
  detach(): void;
}

/** What can be attached: an element, or a video.js, plyr, hls.js or shaka player. */
export type Player =
  | HTMLMediaElement
  | { media: HTMLMediaElement | null }
  | { getMediaElement(): HTMLMediaElement | null }
  | { el(): Element };

/** Where everybody in a party is to be. */
export interface Anchor {
  /** Which title. Another than before is told to everybody (`party`) and moves no element that is attached to the one before: the app attaches the element to the new one. */
  title_id?: string;
  /** Where everybody was to be when this was said. */
  position_ms: number;
  /** How fast. Default 1. */
  rate?: number;
  /** Whether it goes on from there. */
  playing: boolean;
}

/** A watch party that this device is in. */
export interface Party {
  /** Its name. */
  readonly id: string;
  /** Where everybody is to be, as far as this device has heard. */
  readonly anchor: Anchor | null;
  /** Moves everybody. Attached elements do that by themselves when their viewer acts. */
  control(anchor: Anchor): void;
  /** Ends being in it; the element stays where it is. */
  leave(): void;
}

/** A report that a node did not take, and why. */
export interface Refusal {
  /** Which of the events that were sent together; none of what was never sent. */
  index?: number;
  /** A stable word for the reason. */
  code: string;
  /** The same for people. */
  reason?: string;
  /** What was not taken. */
  event?: object;
}

/** The events of {@link Leftoff.on}. */
export interface Events {
  /** A title got on elsewhere: on another device, or in another tab of this one. */
  progress: Progress;
  /** The profile was erased: forget all of it. */
  erased: { profile_id: string };
  /** What was known is told anew. */
  reset: { profile_id: string };
  /** Which devices of the profile are there. */
  presence: { profile_id: string; devices: { device_id: string; state: string; title_id?: string }[] };
  /** The party: viewers, members, anchor. */
  party: { id: string; viewers: number; members: object[]; anchor: (Anchor & { stamp: number; age_ms: number }) | null };
  /** How this device hears of others now. */
  connection: { state: 'websocket' | 'sse' | 'poll' | 'offline' };
  /** A report was not taken; it is not sent again. */
  refused: Refusal;
  /** The node ends the connection, and why. */
  bye: { code: string; retry_after_ms?: number };
  /** The node did not take one message. */
  error: { code: string; reason?: string };
}

/** One device of one profile, in step with a node. */
export class Leftoff {
  /** Begins at once to load what an earlier page left and, if `live`, to connect. Throws a `TypeError` without `profileId`. */
  constructor(options: Options);
  /** The node. */
  readonly url: string;
  /** Whose progress. */
  readonly profileId: string;
  /** This device. */
  readonly deviceId: string;
  /** The party that this device is in. */
  readonly party: Party | null;
  /** Keeps an element in step with a title: resumes it, reports it, follows other devices while it stands still. */
  attach(player: Player, options: AttachOptions): Attachment;
  /** Reports what a player did, for players without an element. Answers the title's progress with it. */
  report(event: Report): Progress;
  /** Where to resume. Never fails: after 800 ms memory answers, and what nobody knows begins at 0. */
  resume(titleId: string, options?: { policy?: Policy }): Promise<Progress>;
  /** What is known of a title now. Asks nobody. */
  view(titleId: string): Progress;
  /** Listens; answers a function that ends it. What a listener throws is told as an unhandled rejection, and stops nothing. */
  on<T extends keyof Events>(type: T, listener: (message: Events[T]) => void): () => void;
  /**
   * Moves positions in that an app kept by itself. Resolves when a node has kept them: null for each, or why it was refused (`malformed`: it has no title
   * or position). Again does no harm.
   * An entry without `atMs` is older than everything: it moves nobody who has watched on.
   */
  migrate(entries: { titleId: string; positionMs: number; durationMs?: number; seriesId?: string; atMs?: number }[]): Promise<(Refusal | null)[]>;
  /** Makes a party; `invite` lets others in. `control` says who may move everybody: `host` (default) or `everyone`. */
  createParty(party: { title_id: string; position_ms?: number; rate?: number; playing?: boolean; control?: 'host' | 'everyone' }):
    Promise<{ id: string; invite: string }>;
  /** Joins a party, with an element that is attached, or only to look on. */
  joinParty(party: { id: string; invite?: string; token?: string }, attachment?: Attachment): Party;
  /** A new token, also while connected. */
  setToken(token: Token): void;
  /** Sends what waits. */
  flush(): Promise<void>;
  /** Ends: reports where players stood and closes the line. What still waits is sent by the next page. */
  close(): void;
}

/** What a playhead is shown of its register. */
export interface View {
  /** The places of the title, newest first; `touched` is the stamp of the last report in each. */
  places: { version: number; position_ms: number; touched: number; ended: boolean }[];
  /** As in {@link Progress}. */
  completed: boolean;
  /** As in {@link Progress}. */
  duration_ms?: number | null;
}

/** The rules of docs/semantics.md for one device in one title. For those who write clients of their own. */
export class Playhead {
  /** Where the first report of this device in this title belongs: `at` by the node’s clock, `live` the stamp of a report of now, else null. */
  static start(event: object, at: number, live: number | null, view: View): Playhead;
  /** In which place a report counts, and what it changes: null for what changes nothing. */
  report(event: object, at: number, live: number | null, view: View | null): {
    version: number;
    delta: null | { version: number; position_ms: number; touched: number; ended: boolean; stepped_back: boolean };
  };
}

/** Lays a device's own reports over what a node showed: the join of both. */
export function overlay(shown: Progress, own: object[], policy?: Policy): Progress;

/** What an element at `position` has to do to be where a party's anchor is. */
export function correction(anchor: Anchor & { at_ms: number; rate: number }, now: number, position: number): { seek: number } | { rate: number };
