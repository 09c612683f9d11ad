import { join } from 'node:path';
import test from 'ava';
import { soakReport, trendOf } from './report.ts';
import { runSoak } from './run.ts';
import { failed, newTally } from './traffic.ts';

const main = join(import.meta.dirname, '../../src/main.ts');

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('no request fails while clusters, endpoints, routes, listeners and certificates change', async (t) => {
  const proxy = (config: string) => ({ argv: [process.execPath, main, 'proxy', '-c', config] });
  const result = await runSoak({ seconds: 6, proxy, progress: (line) => t.log(line) });
  t.deepEqual(result.refusals, []);
  t.true(result.pushes >= 2);
  t.true(result.acknowledged > result.pushes);
  for (const [name, tally] of Object.entries(result.traffic)) {
    t.deepEqual([...tally.failures], [], name);
    t.true(tally.done > 0, name);
  }
});

test('the trend of memory leaves the first third out', (t) => {
  const memory = Array.from({ length: 91 }, (_, second) => ({
    second,
    rss: second < 30 ? 50_000 + 1000 * second : 80_000 + 10 * (second - 30),
  }));
  const trend = trendOf(memory)!;
  t.is(Math.round(trend.perMinute), 600);
  t.deepEqual([trend.first, trend.last, trend.most], [80_000, 80_600, 80_600]);
  t.is(trendOf(memory.slice(0, 2)), null);
});

test('the report names failures and refusals', (t) => {
  const bad = newTally();
  bad.failures.set('status 503', 2);
  bad.done = 10;
  t.is(failed(bad), 2);
  const text = soakReport(
    {
      seconds: 5,
      pushes: 9,
      acknowledged: 40,
      refusals: ['listener: no'],
      traffic: { 'HTTP/1.1': bad },
      memory: [],
      cpuSeconds: 1,
    },
    '2026-11-26T10:00:00.000Z',
    'npm run bench -- soak',
    { cores: 2, cpu: 'Some CPU', memoryGib: 24, kernel: 'linux 6', node: 'v26' },
  );
  for (const part of ['status 503 ×2', '- listener: no', '1 refused', 'too short']) t.true(text.includes(part), part);
});
