import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { Debounce } from './debounce.ts';
import type { ChangeScope } from './source.ts';

function recording(options: { quietMs: number; maxMs: number }) {
  const runs: ChangeScope[] = [];
  return { runs, debounce: new Debounce({ ...options, run: (_, scope) => runs.push(scope) }) };
}

test('configuration waits for quiet, and is then one run', async (t) => {
  const { runs, debounce } = recording({ quietMs: 40, maxMs: 10_000 });
  for (let at = 0; at < 50; at++) debounce.change('configuration');
  t.deepEqual(runs, []);
  await setTimeout(120);
  t.deepEqual(runs, ['configuration']);
});

test('configuration that never rests runs after the longest wait all the same', async (t) => {
  const { runs, debounce } = recording({ quietMs: 60_000, maxMs: 30 });
  debounce.change('configuration');
  await setTimeout(80);
  t.deepEqual(runs, ['configuration']);
});

test('endpoints do not wait, and take along what waits', async (t) => {
  const { runs, debounce } = recording({ quietMs: 60_000, maxMs: 60_000 });
  debounce.change('endpoints');
  debounce.change('endpoints');
  await setTimeout(5);
  t.deepEqual(runs, ['endpoints']);
  debounce.change('configuration');
  debounce.change('endpoints');
  await setTimeout(70);
  t.deepEqual(runs, ['endpoints', 'configuration']);
});

test('a storm of endpoints is spread', async (t) => {
  const { runs, debounce } = recording({ quietMs: 1, maxMs: 1 });
  const end = performance.now() + 100;
  while (performance.now() < end) {
    debounce.change('endpoints');
    await setTimeout(1);
  }
  t.true(runs.length >= 1 && runs.length <= 4, `${runs.length} runs`);
});

test('what is stopped does not run', async (t) => {
  const { runs, debounce } = recording({ quietMs: 1, maxMs: 1 });
  debounce.change('configuration');
  debounce.stop();
  await setTimeout(20);
  t.deepEqual(runs, []);
});
