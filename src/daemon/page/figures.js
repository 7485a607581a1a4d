// The figures of a node, from the text that Prometheus reads. Pure.

/** Every sample of a text: `[{name, labels: {..}, value}]`. */
export function samples(text) {
  const found = [];
  for (const line of text.split('\n')) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, key, value] of (match[2] ?? '').matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)) labels[key] = value.replace(/\\(["\\])/g, '$1');
    found.push({ name: match[1], labels, value: Number(match[3].replace('+Inf', 'Infinity')) });
  }
  return found;
}

/** The sum of all samples of a name whose labels pass. */
export function sum(all, name, passes = () => true) {
  return all.reduce((total, sample) => (sample.name === name && passes(sample.labels) && Number.isFinite(sample.value) ? total + sample.value : total), 0);
}

/**
 * A quantile of what a histogram gained between two readings, in the histogram's unit; null if it gained nothing. It is the upper bound of the
 * bucket that holds it, so never too small.
 */
export function quantile(before, after, name, part) {
  const gained = new Map();
  const add = (all, sign) => {
    for (const { name: own, labels, value } of all) {
      if (own === `${name}_bucket`) gained.set(Number(labels.le.replace('+Inf', 'Infinity')), (gained.get(Number(labels.le.replace('+Inf', 'Infinity'))) ?? 0) + sign * value);
    }
  };
  add(after, 1);
  add(before, -1);
  const buckets = [...gained].sort(([one], [other]) => one - other);
  const total = buckets.at(-1)?.[1] ?? 0;
  if (total <= 0) return null;
  return buckets.find(([, count]) => count >= total * part)?.[0] ?? null;
}

/** What was refused, by reason: `{reason: count}`. */
export function refused(all) {
  const reasons = {};
  const add = (reason, value) => { if (value > 0) reasons[reason] = (reasons[reason] ?? 0) + value; };
  for (const { name, labels, value } of all) {
    if (name === 'leftoff_events_refused_total') add(`event: ${labels.code ?? 'refused'}`, value);
    if (name === 'leftoff_problems_total') add(`request: ${labels.code}`, value);
    if (name === 'leftoff_http_connections_refused_total') add('connection: too many', value);
    if (name === 'leftoff_connections_cut_off_total') add('connection: took nothing', value);
    if (name === 'leftoff_replication_links_faulted_total') add('link: broke the protocol, or not allowed', value);
  }
  return reasons;
}

/** A number as people read it: `1,234`, `12.3 k`, `4.56 M`. */
export function amount(value) {
  if (!Number.isFinite(value)) return '–';
  if (value >= 999_500) return `${(value / 1e6).toFixed(value < 9_995_000 ? 2 : 1)} M`;
  if (value >= 99_950) return `${(value / 1e3).toFixed(0)} k`;
  if (value >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en');
  return value.toFixed(1);
}

/** How many of something: `1 link`, `2 links`. */
export const count = (number, noun) => `${amount(number)} ${noun}${number === 1 ? '' : 's'}`;

/** Bytes as people read them. */
export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${unit === 0 ? Math.round(value) : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}
