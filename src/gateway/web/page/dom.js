// Elements and words that the program's pages share. Nothing here knows what the pages are about.

/** Makes an element: `el('p', {class: 'quiet'}, 'words', otherElement)`. A property that is a function listens for the event of its name. */
export function el(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

const SVG = 'http://www.w3.org/2000/svg';

/** The same in SVG. */
export function svg(name, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, name), properties, children);
}

function fill(element, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets a text, if it is another: a live region must not say again what it has said. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes these the elements of another. Who stays is not touched: a button that has the focus keeps it. */
export function arrange(parent, elements) {
  for (const own of [...parent.children]) if (!elements.includes(own)) own.remove();
  elements.forEach((element, index) => { if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null); });
}

/** A position as people read it: `4:07`, `1:05:09`. */
export function position(ms) {
  const seconds = Math.floor(ms / 1000);
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (number) => String(number).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** A length of time as people read it, as exactly as it matters. */
export function lasting(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.floor(ms / 1000) % 60} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.floor(ms / 60_000) % 60} min`;
}

/** A time of day, to the second. */
export function timeOfDay(date) {
  return date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
}

const PATHS = {
  play: 'M8 5.1v13.8a1 1 0 0 0 1.5.86l11.2-6.9a1 1 0 0 0 0-1.72L9.5 4.24A1 1 0 0 0 8 5.1z',
  pause: 'M7 4.5h3.6v15H7zM13.4 4.5H17v15h-3.6z',
  tv: 'M3 4h18a1 1 0 0 1 1 1v11a1 1 0 0 1-1 1h-7v2h3v2H7v-2h3v-2H3a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zm1 2v9h16V6z',
  laptop: 'M5 4h14a1 1 0 0 1 1 1v10H4V5a1 1 0 0 1 1-1zm1 2v7h12V6zM1 17h22v1a2 2 0 0 1-2 2H3a2 2 0 0 1-2-2z',
  phone: 'M8 2h8a2 2 0 0 1 2 2v16a2 2 0 0 1-2 2H8a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2zm0 3v12h8V5zm3 13.5v1h2v-1z',
  won: 'M9.2 17.2 4.4 12.4l1.9-1.9 2.9 2.9 8.5-8.5 1.9 1.9z',
  kept: 'M5 5h14v2H5zm0 6h9v2H5zm0 6h14v2H5z',
  cut: 'M5.6 4.2 12 10.6l6.4-6.4 1.4 1.4-6.4 6.4 6.4 6.4-1.4 1.4-6.4-6.4-6.4 6.4-1.4-1.4 6.4-6.4-6.4-6.4z',
  info: 'M11 10h2v8h-2zm0-4h2v2.4h-2z',
};

/** A picture of the page's own set, for eyes only. */
export function icon(name) {
  return svg('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true', focusable: 'false' }, svg('path', { d: PATHS[name] }));
}

/** A switch. `moved` is called with what it should be; what it shows is set with `set`. */
export function toggle(label, moved, { danger = false, describedBy } = {}) {
  const button = el(
    'button',
    {
      type: 'button', role: 'switch', 'aria-checked': 'false', class: danger ? 'switch danger' : 'switch', 'aria-describedby': describedBy,
      click: () => moved(button.getAttribute('aria-checked') !== 'true'),
    },
    el('span', { class: 'track', 'aria-hidden': 'true' }),
    el('span', {}, label),
  );
  button.set = (on) => button.setAttribute('aria-checked', String(on));
  return button;
}
