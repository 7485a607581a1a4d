// What is shipped: how large it is, and what goes to npm.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import * as module from '../../src/gateway/web/leftoff.js';

const read = (name) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
const source = read('src/gateway/web/leftoff.js');

test('the library is below 12 KB gzipped', () => {
  const bytes = gzipSync(source, { level: 9 }).length;
  assert.ok(bytes < 12 * 1_024, `${bytes} bytes`);
});

test('it needs nothing else, and shifts no stamp to 32 bits', () => {
  assert.ok(!/^\s*import\b|\bimport\(|\brequire\(/m.test(source));
  assert.ok(!/<<|>>|\|\s*0\b/.test(source.replace(/\/\/.*|\/\*[^]*?\*\//g, '')));
});

test('it can be loaded where there is no browser', () => {
  assert.deepEqual(Object.keys(module).sort(), ['Leftoff', 'Playhead', 'correction', 'overlay']);
});

test('the package for npm is the version of the program, under its licence, with its files', () => {
  const meta = JSON.parse(read('src/gateway/web/package.json'));
  const [, version] = /\[workspace\.package\]\nversion = "(.*)"/.exec(read('Cargo.toml'));
  assert.equal(meta.version, version);
  assert.equal(meta.license, 'MIT OR Apache-2.0');
  assert.equal(meta.type, 'module');
  assert.deepEqual(meta.dependencies ?? {}, {});
  for (const file of [...meta.files, meta.exports['.'].default, meta.exports['.'].types]) assert.ok(read(`src/gateway/web/${file}`), file);
});
