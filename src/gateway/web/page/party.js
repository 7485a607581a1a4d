// The watch party of the page: one at a time; whoever turns it on first makes it.

export class Party {
  #made = null;
  #players = [];

  /** `note` writes a line of the log; `name` is what a player is called at the beginning of a sentence. */
  constructor({ titleId, note, name }) {
    Object.assign(this, { titleId, note, name });
  }

  /** A player that can join. */
  add(player) {
    this.#players.push(player);
    player.onParty = (own, on) => (on ? this.#join(own) : this.#leave(own));
    player.sync.on('party', ({ viewers }) => player.showViewers(player.sync.party ? viewers : 0));
  }

  async #join(player) {
    player.partySwitch.set(true);
    const first = this.#made === null;
    try {
      this.#made ??= player.sync.createParty({
        title_id: this.titleId, position_ms: Math.round(player.video.currentTime * 1000), playing: !player.video.paused, rate: 1, control: 'everyone',
      });
      const { id, invite } = await this.#made;
      player.sync.joinParty({ id, token: invite }, player.attached);
      this.note({
        tone: 'info', words: `${this.name(player)} ${first ? 'opens a watch party' : 'joins the watch party'}.`,
        reason: first ? 'Everyone in it shares one anchor: position, rate, playing. The last command wins, wherever it was given.'
          : 'It goes to where the others are, and its pauses and seeks move everybody.',
      });
    } catch {
      if (first) this.#made = null;
      player.partySwitch.set(false);
      this.note({ tone: 'cut', words: `${this.name(player)} reaches no node, so there is no party.` });
    }
  }

  #leave(player) {
    player.partySwitch.set(false);
    player.sync.party?.leave();
    player.showViewers(0);
    if (!this.#players.some((other) => other.sync.party)) this.#made = null;
    this.note({ tone: 'info', words: `${this.name(player)} leaves the watch party.`, reason: 'It stays where it is; the others watch on.' });
  }
}
