import test from 'ava';
import { createLog } from '../telemetry/log.ts';
import { Lifecycle, type LifecycleOptions } from './lifecycle.ts';

function lifecycle(more: Partial<LifecycleOptions> = {}) {
  const calls: string[] = [];
  const drained = Promise.withResolvers<void>();
  const life = new Lifecycle({
    plane: {
      beginDrain: () => calls.push('begin'),
      closeListeners: () => {},
      drain: (limitMs, minimumMs) => {
        calls.push(`drain ${limitMs} ${minimumMs}`);
        return drained.promise;
      },
    },
    terminationDrainMs: 5000,
    drainSpanMs: 0,
    minDrainMs: 0,
    exitOnZeroActiveConnections: true,
    log: createLog('none'),
    ...more,
  });
  return { life, calls, drained };
}

test('SIGTERM drains and then ends', async (t) => {
  const { life, calls, drained } = lifecycle();
  t.true(life.accepts);
  life.terminate();
  t.false(life.accepts);
  t.deepEqual(calls, ['drain 5000 0']);
  drained.resolve();
  await life.ended;
});

test('a gateway drains for the whole time', (t) => {
  const { life, calls } = lifecycle({ exitOnZeroActiveConnections: false });
  life.terminate();
  t.deepEqual(calls, ['drain 5000 5000']);
});

test('after /drain, SIGTERM ends at once', async (t) => {
  const { life, calls } = lifecycle();
  life.drainNow();
  life.drainNow();
  t.false(life.accepts);
  life.terminate();
  await life.ended;
  t.deepEqual(calls, ['begin']);
});

test('a second SIGTERM, and /quitquitquit, do not wait', async (t) => {
  const impatient = lifecycle();
  impatient.life.terminate();
  impatient.life.terminate();
  await impatient.life.ended;
  const asked = lifecycle();
  asked.life.quit();
  await asked.life.ended;
  t.deepEqual(asked.calls, []);
});

test('health can be failed and restored', (t) => {
  const { life } = lifecycle();
  life.failHealth(true);
  t.false(life.accepts);
  life.failHealth(false);
  t.true(life.accepts);
});
