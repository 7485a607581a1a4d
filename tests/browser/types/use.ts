// A program that uses all of leftoff.js, for the type checker.
import {
  type Anchor, type AttachOptions, type Attachment, type Events, type Kind, type Options, type Party, type Place, type Player, type Policy, type Progress, type Refusal, type Report,
  type Token, type View, Leftoff, Playhead, correction, overlay,
} from '../../../src/gateway/web/leftoff.js';

const token: Token = async () => 'x';
const options: Options = { url: 'https://node.example', token, deviceId: 'laptop', profileId: 'ada', saveEnergy: true, live: true, env: { now: Date.now } };
const sync = new Leftoff(options);
console.log(sync.url, sync.profileId, sync.deviceId, sync.party);

const how: AttachOptions = { titleId: 'film', durationMs: 5_400_000, follow: 'idle', seriesId: 's', sessionId: 'x', resume: true };
const attachment: Attachment = sync.attach(document.querySelector('video')!, how);
const players: Player[] = [{ media: document.createElement('video') }, { getMediaElement: () => document.createElement('audio') }, { el: () => document.body }];
for (const player of players) sync.attach(player, { titleId: 'film' });
const ready: Progress | null = await attachment.ready;
attachment.media.pause();
attachment.follow();
attachment.follow(ready ?? undefined);
await attachment.restart();
attachment.detach();

const kind: Kind = 'PAUSE';
const report: Report = { kind, titleId: 'film', positionMs: 1_000, durationMs: 2_000, seriesId: 's', sessionId: 'x', restart: false, speed: 1.5, atMs: 1 };
const shown: Progress = sync.report(report);
const { profile_id, title_id, series_id, started, position_ms, version, high_ms, places, duration_ms, completed, furthest_ms, state, device_id, speed, at_ms, hidden, cursor } = shown;
console.log(profile_id, title_id, series_id, started, position_ms, version, high_ms, duration_ms, completed, furthest_ms, state, device_id, speed, at_ms, hidden, cursor);
const [newest]: Place[] = places;
console.log(newest?.version, newest?.position_ms, newest?.touched_ms);

const off: () => void = sync.on('progress', ({ title_id, places }) => console.log(title_id, places[0]?.version));
const heard: { [T in keyof Events]: (message: Events[T]) => void } = {
  progress: (message) => console.log(message.started), erased: (message) => console.log(message.profile_id), reset: (message) => console.log(message.profile_id),
  presence: ({ devices }) => console.log(devices[0]?.device_id), party: ({ viewers, members, anchor }) => console.log(viewers, members, anchor?.stamp, anchor?.age_ms),
  connection: ({ state }) => console.log(state === 'websocket'), refused: ({ code }) => console.log(code), bye: ({ code, retry_after_ms }) => console.log(code, retry_after_ms),
  error: ({ code, reason }) => console.log(code, reason),
};
sync.on('refused', heard.refused);
off();

const policy: Policy = 'furthest';
const resumed: Progress = await sync.resume('film', { policy });
const moved: (Refusal | null)[] = await sync.migrate([{ titleId: 'film', positionMs: resumed.position_ms, durationMs: 1, seriesId: 's', atMs: 1 }]);
for (const refusal of moved) console.log(refusal?.index, refusal?.code, refusal?.reason, refusal?.event);
console.log(sync.view('film').started);

const made = await sync.createParty({ title_id: 'film', position_ms: 0, rate: 1, playing: false, control: 'everyone' });
const party: Party = sync.joinParty(made, attachment);
const anchor: Anchor = { title_id: 'film', position_ms: 1_000, rate: 1, playing: true };
party.control(anchor);
console.log(party.id, party.anchor?.playing);
party.leave();
sync.setToken('y');
await sync.flush();
sync.close();

const view: View = { places: [], completed: false, duration_ms: null };
const { version: own, delta } = Playhead.start({}, 0, null, view).report({}, 0, null, null);
console.log(own, delta?.touched, overlay(shown, []), correction({ position_ms: 0, playing: true, rate: 1, at_ms: 0 }, 0, 0));

// @ts-expect-error of a title that nobody began a node says null
if (at_ms !== undefined) console.log(new Date(at_ms));
// @ts-expect-error neither has it a device
if (device_id !== undefined) console.log(device_id.length);
// @ts-expect-error nor a state
if (state !== undefined) console.log(state.length);
// @ts-expect-error a profile is needed
new Leftoff({});
// @ts-expect-error no such kind
sync.report({ kind: 'JUMP', titleId: 'film', positionMs: 0 });
// @ts-expect-error no such event
sync.on('nothing', () => {});
