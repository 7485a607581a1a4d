// What the pages share: a client as the address says (?profile=ann&device=tv&title=film&token=...), for the page's own origin or a node at
// ?url=..., told to the tests.
import { Leftoff } from '/leftoff.js';

const asked = new URL(location.href).searchParams;
const ask = (name, otherwise) => asked.get(name) ?? otherwise;
export const titleId = ask('title', 'film');
export const sync = new Leftoff({ profileId: ask('profile', 'ann'), deviceId: ask('device', undefined), token: ask('token', undefined), url: ask('url', undefined) });

/** Attaches a player, and lets the tests see everything. */
export function attach(player) {
  const attachment = sync.attach(player, { titleId });
  const heard = { progress: [], connection: [], presence: [], party: [] };
  for (const type in heard) sync.on(type, (message) => heard[type].push(message));
  Object.assign(window, { sync, attachment, video: attachment.media, heard, Leftoff });
  attachment.ready.then((shown) => { window.resumed = shown; });
}
