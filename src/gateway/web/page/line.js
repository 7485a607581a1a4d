// The line between one player and its node: passes everything on until the player is taken offline, and tells what was sent and kept.
//
// The client library is handed these in place of the browser's own; it cannot tell that from a real line that fails.

/** One line; `told` hears `{sent: event}` and `{kept: event, version}`. */
export class Line {
  #sockets = new Set();
  #waiting = new Map();
  offline = false;
  /** How far the device's clock is ahead, in milliseconds. */
  clockMs = 0;

  constructor(told = () => {}) {
    this.told = told;
    const line = this;
    this.WebSocket = class extends WebSocket {
      constructor(...args) {
        super(...args);
        line.#sockets.add(this);
        this.addEventListener('close', () => line.#sockets.delete(this));
        this.addEventListener('message', ({ data }) => line.#hear(data));
        // A socket that would open while the line is dead does not.
        if (line.offline) this.addEventListener('open', () => this.close());
      }

      send(data) {
        if (line.offline) return;
        line.#notice(data);
        super.send(data);
      }
    };
    this.fetch = async (url, options) => {
      if (this.offline) throw new TypeError('offline');
      const events = (/\/v1\/events/.test(String(url)) && parsed(options?.body)?.events) || [];
      for (const event of events) this.told({ sent: event });
      const answer = await fetch(url, options);
      if (this.offline) throw new TypeError('offline');
      if (events.length > 0 && answer.ok) this.#kept(events, await answer.clone().json());
      return answer;
    };
  }

  /** What the client library is given in place of the browser's own. The device's clock may be wrong; its monotonic one goes on as ever. */
  env() {
    return {
      fetch: this.fetch,
      WebSocket: this.WebSocket,
      now: () => Date.now() + this.clockMs,
    };
  }

  /** Cuts or mends the line. */
  setOffline(offline) {
    this.offline = offline;
    if (offline) for (const socket of this.#sockets) socket.close();
  }

  #notice(data) {
    const message = parsed(data);
    if (message?.type !== 'events') return;
    this.#waiting.set(message.id, message.events);
    for (const event of message.events) this.told({ sent: event });
    // What is never answered was not kept; the player sends it again under another number.
    if (this.#waiting.size > 64) this.#waiting.delete(this.#waiting.keys().next().value);
  }

  #hear(data) {
    const message = parsed(data);
    if (message?.type !== 'ack' || !this.#waiting.has(message.id)) return;
    const events = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    this.#kept(events, message);
  }

  #kept(events, { versions, refused }) {
    events.forEach((event, index) => {
      if (!refused?.some((one) => one.index === index)) this.told({ kept: event, version: versions?.[index] ?? event.version });
    });
  }
}

function parsed(text) {
  try {
    return typeof text === 'string' ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
