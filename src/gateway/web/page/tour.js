// Half a minute in which the page shows by itself what it is about. It moves the same switches and players as a visitor would.

const LOOK_MS = 50;
const PATIENCE_MS = 15_000;

class Stopped extends Error {}

/**
 * Plays it. `say(words, step)` tells what happens, `mark(region)` points at a region; `stop` ends it early. What it cut is healed and what it
 * started is paused, however it ends.
 */
export async function showMe({ players, setLine, say, mark, stop, held, agree }) {
  const [tv, laptop, phone] = players;
  const pause = (ms) => new Promise((resolve, reject) => {
    if (stop.aborted) return reject(new Stopped());
    const timer = setTimeout(() => { stop.removeEventListener('abort', ended); resolve(); }, ms);
    const ended = () => { clearTimeout(timer); reject(new Stopped()); };
    stop.addEventListener('abort', ended, { once: true });
  });
  const until = async (holds) => {
    for (const end = performance.now() + PATIENCE_MS; !holds() && performance.now() < end;) await pause(LOOK_MS);
  };
  let step = 0;
  const tell = (words, player) => { step += 1; say(words, `${step} of 7`); mark(player?.region.name); };
  const at = (ms) => { const seconds = Math.floor(ms / 1000); return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`; };
  try {
    for (const player of players) { player.pause(); await setLine(player.region.name, false); }
    tell('The TV plays from where it was left. It talks to region eu.', tv);
    await tv.play();
    await pause(4_500);
    tv.pause();
    tell(`Paused at ${at(tv.video.currentTime * 1000)}. The laptop, served by region us, resumes at the same second.`, laptop);
    await until(() => Math.abs(laptop.video.currentTime - tv.video.currentTime) < 1);
    await pause(2_000);
    await laptop.play();
    await pause(3_500);
    tell('Now region ap is cut off from the others. Nobody told its node; it goes on serving.', phone);
    await setLine(phone.region.name, true);
    await pause(2_500);
    const target = phone.video.currentTime < 150 ? 90_000 : -90_000;
    tell('The phone, in ap, jumps on purpose and plays, while the laptop plays on in us.', phone);
    phone.seek(phone.video.currentTime * 1000 + target);
    await pause(700);
    await phone.play();
    await pause(5_000);
    phone.pause();
    laptop.pause();
    // Their reports are on their way.
    await pause(700);
    tell(`Both were paused. The regions differ: ${laptop.region.name} says ${at(held(laptop.region.name).position_ms)}, ${phone.region.name} says ${at(held(phone.region.name).position_ms)}. Both are right about what they have seen.`, null);
    await pause(4_500);
    tell('The line heals. Both sides send what the other lacks, and join.', phone);
    await setLine(phone.region.name, false);
    await until(agree);
    await pause(800);
    const { position_ms, places, version } = held(tv.region.name);
    const kept = places.find((place) => place.version !== version);
    tell(`All agree on ${at(position_ms)}: the phone's jump is the newest deliberate move.${kept ? ` What the laptop watched is not lost: ${at(kept.position_ms)} stays as a way back.` : ''}`, null);
    await pause(7_000);
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
  } finally {
    mark(null);
    for (const player of players) { player.pause(); await setLine(player.region.name, false); }
  }
}
