// A program that uses all of leftoff.js, for the type checker.
import { type Progress, Leftoff, Playhead, correction, overlay } from '../../../src/gateway/web/leftoff.js';

const sync = new Leftoff({ url: 'https://node.example', token: async () => 'x', deviceId: 'laptop', profileId: 'ada', saveEnergy: true, live: true });
const attachment = sync.attach(document.querySelector('video')!, { titleId: 'film', durationMs: 5_400_000, follow: 'idle', seriesId: 's', resume: true });
sync.attach({ media: document.createElement('video') }, { titleId: 'film' });
sync.attach({ getMediaElement: () => document.createElement('audio') }, { titleId: 'film' });
const shown: Progress = sync.report({ kind: 'PAUSE', titleId: 'film', positionMs: 1_000, speed: 1.5 });
const off: () => void = sync.on('progress', ({ title_id, places }) => console.log(title_id, places[0]?.version));
sync.on('refused', ({ code }) => console.log(code));
off();
const resumed: Progress = await sync.resume('film', { policy: 'furthest' });
const moved = await sync.migrate([{ titleId: 'film', positionMs: resumed.position_ms }]);
console.log(moved.every((refusal) => refusal === null), sync.view('film').started, shown.completed);
const party = sync.joinParty(await sync.createParty({ title_id: 'film', control: 'everyone' }), attachment);
party.control({ position_ms: 1_000, playing: true });
party.leave();
attachment.follow();
await attachment.restart();
attachment.detach();
sync.setToken('y');
await sync.flush();
sync.close();
const view = { places: [], completed: false };
const { version, delta } = Playhead.start({}, 0, null, view).report({}, 0, null, null);
console.log(version, delta?.touched, overlay(shown, []), correction({ position_ms: 0, playing: true, rate: 1, at_ms: 0 }, 0, 0));

// @ts-expect-error a profile is needed
new Leftoff({});
// @ts-expect-error no such kind
sync.report({ kind: 'JUMP', titleId: 'film', positionMs: 0 });
// @ts-expect-error no such event
sync.on('nothing', () => {});
