// The types of leftoff.js, checked by the compiler and against the module.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT } from './support.mjs';
import * as module from '../../src/gateway/web/leftoff.js';

const TYPES = readFileSync(path.join(ROOT, 'src/gateway/web/leftoff.d.ts'), 'utf8');

test('a program that uses everything is sound, and what is wrong in it is found', () => {
  const folder = path.join(ROOT, 'tests/browser');
  const run = spawnSync(path.join(folder, 'node_modules/.bin/tsc'), ['-p', path.join(folder, 'types')], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stdout + run.stderr);
});

test('that program uses every name that the types export, and every member of what they construct', () => {
  const used = readFileSync(path.join(ROOT, 'tests/browser/types/use.ts'), 'utf8');
  const exported = [...TYPES.matchAll(/^export (?:class|function|interface|type) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(exported.filter((name) => !new RegExp(`\\b${name}\\b`).test(used)), []);
  const members = [...TYPES.matchAll(/^ {2}(?:readonly |static )?(\w+)\??(?:<.*>)?[(:]/gm)].map(([, name]) => name).filter((name) => name !== 'constructor');
  assert.deepEqual([...new Set(members)].filter((name) => !new RegExp(`\\b${name}\\b`).test(used)), []);
});

test('all that the types name is documented', () => {
  const lines = TYPES.split('\n');
  const bare = lines.filter((line, index) => /^(?:export| {2}(?:readonly |static )?\w+\??(?:<.*>)?[(:])/.test(line) && !/\*\/$/.test(lines[index - 1]));
  assert.deepEqual(bare, []);
  // In the module too, each in a line: whoever reads it there is told where the rest is.
  const source = readFileSync(path.join(ROOT, 'src/gateway/web/leftoff.js'), 'utf8').split('\n');
  const body = source.slice(source.findIndex((line) => line.startsWith('export class Leftoff')));
  const parts = source.filter((line, index) => line.startsWith('export ') && !/\*\/$/.test(source[index - 1]));
  const methods = body.filter((line, index) => /^ {2}(?:async )?(?!constructor|_)[a-z]\w*\(.*\{$/.test(line) && !/\*\/$/.test(body[index - 1]));
  assert.deepEqual([...parts, ...methods], []);
});

test('what goes to npm is the module, its types and what it says of itself', () => {
  const run = spawnSync('npm', ['pack', '--dry-run', '--json'], { cwd: path.join(ROOT, 'src/gateway/web'), encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  const [{ name, files, unpackedSize }] = JSON.parse(run.stdout);
  assert.equal(name, 'leftoff');
  assert.deepEqual(files.map((file) => file.path).sort(), ['README.md', 'leftoff.d.ts', 'leftoff.js', 'package.json']);
  assert.ok(unpackedSize < 80_000);
});

test('the types name what the module has', () => {
  const named = [...TYPES.matchAll(/^export (?:class|function) (\w+)/gm)].map(([, name]) => name).sort();
  assert.deepEqual(named, Object.keys(module).sort());
  const body = /export class Leftoff \{([^]*?)\n\}/.exec(TYPES)[1];
  const methods = [...body.matchAll(/^ {2}(\w+)(?:<.*>)?\(/gm)].map(([, name]) => name).filter((name) => name !== 'constructor').sort();
  const own = Object.entries(Object.getOwnPropertyDescriptors(module.Leftoff.prototype)).filter(([name, { value }]) => value && !/^_|constructor/.test(name));
  assert.deepEqual(methods, own.map(([name]) => name).sort());
});
