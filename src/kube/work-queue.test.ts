import test from 'ava';
import fc from 'fast-check';
import { ManualClock } from './testing/manual-clock.ts';
import { type Outcome, WorkQueue } from './work-queue.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a key added many times while it waits is processed once, and once more when added while processed', async (t) => {
  const gates: Array<() => void> = [];
  const done: string[] = [];
  const queue = new WorkQueue({
    process: async (key) => {
      await new Promise<void>((resolve) => gates.push(resolve));
      done.push(key);
      return undefined;
    },
  });
  for (const key of ['a', 'a', 'b', 'a']) queue.add(key);
  queue.start();
  queue.add('a');
  queue.add('a');
  while (gates.length > 0 || queue.length > 0) {
    gates.shift()?.();
    await turn();
  }
  t.deepEqual(done, ['a', 'b', 'a']);
});

test('failures back off, doubling, up to the limit; success forgets them', async (t) => {
  const clock = new ManualClock();
  const delays: number[] = [];
  let fails = 5;
  const queue = new WorkQueue({
    clock,
    random: () => 0,
    firstBackoffMs: 100,
    maxBackoffMs: 500,
    process: async () => {
      if (fails-- > 0) throw new Error('not yet');
      return undefined;
    },
    onError: (_key, _error, retryInMs) => delays.push(retryInMs),
  }).start();
  queue.add('a');
  await clock.advance(5_000);
  t.deepEqual(delays, [100, 200, 400, 500, 500]);
  fails = 1;
  queue.add('a');
  await clock.advance(1_000);
  t.is(delays.at(-1), 100);
});

test('requeue-after: the earliest due time wins, an addition comes at once', async (t) => {
  const clock = new ManualClock();
  const at: number[] = [];
  const outcomes: Outcome[] = [{ requeueAfterMs: 1_000 }];
  const queue = new WorkQueue({
    clock,
    process: async () => {
      at.push(clock.nowMs());
      return outcomes.shift();
    },
  }).start();
  queue.add('a');
  await clock.advance(10);
  queue.addAfter('a', 5_000);
  queue.addAfter('a', 300);
  await clock.advance(10_000);
  t.deepEqual(at, [0, 310]);
});

test('stop ends what is being processed and takes nothing more', async (t) => {
  let aborted = false;
  let processed = 0;
  const queue = new WorkQueue({
    process: (_key, signal) =>
      new Promise((resolve) => {
        processed++;
        signal.addEventListener('abort', () => {
          aborted = true;
          resolve(undefined);
        });
      }),
  }).start();
  queue.add('a');
  queue.add('b');
  await queue.stop();
  queue.add('c');
  t.true(aborted);
  t.is(processed, 1);
});

test('property: never the same key twice at once, never more than the concurrency, nothing added is lost', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 40 }),
      fc.integer({ min: 1, max: 3 }),
      async (keys, concurrency) => {
        const current = new Set<string>();
        const processed = new Set<string>();
        const queue = new WorkQueue({
          concurrency,
          process: async (key) => {
            if (current.has(key) || current.size >= concurrency) throw new Error('overlap');
            current.add(key);
            await turn();
            current.delete(key);
            processed.add(key);
            return undefined;
          },
          onError: (_key, error) => {
            throw error;
          },
        }).start();
        for (const [index, key] of keys.entries()) {
          queue.add(key);
          if (index % 3 === 0) await turn();
        }
        await queue.whenIdle();
        return new Set(keys).size === processed.size && queue.length === 0;
      },
    ),
    { numRuns: 30 },
  );
  t.pass();
});
