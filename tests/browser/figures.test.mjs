// How the operator's page reads figures, without a browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { amount, bytes, quantile, refused, samples, sum } from '../../src/daemon/page/figures.js';

const TEXT = `# HELP requests Requests.
# TYPE requests counter
requests{route="/v1/events",code="200"} 7
requests{route="/v1/\\"odd\\"",code="503"} 2
lag{peer="us"} NaN
took_bucket{le="0.01"} 90
took_bucket{le="0.1"} 99
took_bucket{le="+Inf"} 100
leftoff_events_refused_total{code="bad_kind"} 3
leftoff_problems_total{code="not_found"} 1
`;

test('samples have names, labels and values', () => {
  const all = samples(TEXT);
  assert.equal(all.length, 8);
  assert.deepEqual(all[1], { name: 'requests', labels: { route: '/v1/"odd"', code: '503' }, value: 2 });
  assert.equal(sum(all, 'requests'), 9);
  assert.equal(sum(all, 'requests', ({ code }) => code === '200'), 7);
  assert.equal(sum(all, 'lag'), 0, 'what is not known is not counted');
});

test('a quantile is of what was gained between two readings', () => {
  const all = samples(TEXT);
  assert.equal(quantile([], all, 'took', 0.5), 0.01);
  assert.equal(quantile([], all, 'took', 0.99), 0.1);
  assert.equal(quantile([], all, 'took', 0.999), Infinity);
  assert.equal(quantile(all, all, 'took', 0.5), null);
});

test('what was refused is told by reason', () => {
  assert.deepEqual(refused(samples(TEXT)), { 'event: bad_kind': 3, 'request: not_found': 1 });
});

test('amounts are told as people read them', () => {
  assert.deepEqual([0, 7, 0.52, 1_234, 123_456, 1_048_576, 20_000_000].map(amount), ['0', '7', '0.5', '1,234', '123 k', '1.05 M', '20.0 M']);
  assert.deepEqual([0, 900, 2_048, 536_870_912].map(bytes), ['0 B', '900 B', '2.0 KiB', '512 MiB']);
});
