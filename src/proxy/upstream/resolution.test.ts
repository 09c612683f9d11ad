import test from 'ava';
import { clusterOf, endpointOf } from '../testing/tables.ts';
import { Resolution } from './resolution.ts';

const named = (host: string, family: 'v4' | 'v6' | 'any' = 'v4', failureRefreshMs = 30_000) =>
  clusterOf('a', [endpointOf(1, { host })], {
    discovery: 'strictDns',
    dns: { refreshMs: 30_000, respectsTtl: false, failureRefreshMs, family },
  });

/** Resolves when a round of questions is over. */
function asked(config: ReturnType<typeof named>): Promise<{ resolution: Resolution; rounds: () => number }> {
  return new Promise((resolve) => {
    let rounds = 0;
    const resolution = new Resolution(() => {
      rounds++;
      resolve({ resolution, rounds: () => rounds });
    });
    resolution.ask(config);
  });
}

test('names are told from addresses and paths', (t) => {
  t.true(Resolution.isName('localhost'));
  for (const given of ['127.0.0.1', '::1', '/run/socket']) t.false(Resolution.isName(given), given);
});

test('a name has the addresses of the family that is asked for', async (t) => {
  const { resolution } = await asked(named('localhost'));
  t.deepEqual(resolution.addressesOf('localhost'), ['127.0.0.1']);
  t.true(resolution.settled);
});

test('what was asked just now is not asked again, and a failure sooner than an answer', async (t) => {
  const good = named('localhost');
  const { resolution, rounds } = await asked(good);
  const now = performance.now();
  resolution.review(good, now + 1000);
  t.true(resolution.settled);
  t.is(rounds(), 1);
  resolution.review(good, now + 31_000);
  t.false(resolution.settled);

  const bad = named('no-such-name.invalid', 'v4', 500);
  const failed = await asked(bad);
  t.deepEqual(failed.resolution.addressesOf('no-such-name.invalid'), []);
  failed.resolution.review(bad, performance.now() + 600);
  t.false(failed.resolution.settled);
  for (const { resolution: one } of [failed, { resolution }]) one.closed = true;
});
