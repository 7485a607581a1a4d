// The types of leftoff.js, checked by the compiler and against the module.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT } from './support.mjs';
import * as module from '../../src/gateway/web/leftoff.js';

test('a program that uses everything is sound, and what is wrong in it is found', () => {
  const folder = path.join(ROOT, 'tests/browser');
  const run = spawnSync(path.join(folder, 'node_modules/.bin/tsc'), ['-p', path.join(folder, 'types')], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stdout + run.stderr);
});

test('the types name what the module has', () => {
  const types = readFileSync(path.join(ROOT, 'src/gateway/web/leftoff.d.ts'), 'utf8');
  const named = [...types.matchAll(/^export (?:class|function) (\w+)/gm)].map(([, name]) => name).sort();
  assert.deepEqual(named, Object.keys(module).sort());
  const body = /export class Leftoff \{([^]*?)\n\}/.exec(types)[1];
  const methods = [...body.matchAll(/^ {2}(\w+)(?:<.*>)?\(/gm)].map(([, name]) => name).filter((name) => name !== 'constructor').sort();
  const own = Object.entries(Object.getOwnPropertyDescriptors(module.Leftoff.prototype)).filter(([name, { value }]) => value && !/^_|constructor/.test(name));
  assert.deepEqual(methods, own.map(([name]) => name).sort());
});
