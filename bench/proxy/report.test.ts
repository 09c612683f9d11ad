import test from 'ava';
import type { CaseResult, Sample } from './measure.ts';
import { plot } from './plot.ts';
import { meets, type ProxyResults, ratioToEnvoy, report } from './report.ts';

function sample(cost: number, p99Ms: number | null = null): Sample {
  return {
    cost,
    parts: [],
    perSecond: 1e6 / cost,
    p50Ms: 1,
    p99Ms,
    errors: 0,
    memory: { pss: 40_960, rss: 51_200 },
    ownShare: 0.9,
    othersShare: 0.05,
  };
}

const result = (
  lateen: Sample[],
  envoy: Sample[],
  goal: CaseResult['goal'] = { of: 'envoy', atMost: 0.35 },
): CaseResult => ({
  name: 'http1',
  title: 'HTTP/1.1 <plain> & simple',
  unit: 'request',
  goal,
  samples: { lateen, envoy },
  failed: {},
  loadAverage: 1.5,
});

test('a ratio is the median of those within one round, not that of the medians', (t) => {
  // The machine was slow in the second round, for both.
  const found = result([sample(30), sample(90), sample(33)], [sample(100), sample(300), sample(100)]);
  t.is(ratioToEnvoy(found, 'lateen'), 0.3);
  t.is(ratioToEnvoy(found, 'nginx'), null);
  t.is(ratioToEnvoy(result([sample(30)], []), 'lateen'), null);
});

test('a goal is met by the figure that is printed', (t) => {
  t.true(meets(result([sample(35.4)], [sample(100)])));
  t.false(meets(result([sample(36)], [sample(100)])));
  t.is(meets(result([sample(36)], [])), null);
  t.is(meets(result([sample(36)], [sample(100)], null)), null);
  t.true(meets(result([sample(30)], [], { of: 'unit', atMost: 30 })));
  const withP99 = { of: 'envoy', atMost: 0.35, p99: true } as const;
  t.true(meets(result([sample(30, 9)], [sample(100, 10)], withP99)));
  t.false(meets(result([sample(30, 11)], [sample(100, 10)], withP99)));
});

test('the report tells figures, goals, circumstances and what was not measured', (t) => {
  const results: ProxyResults = {
    takenAt: '2026-11-26T10:00:00.000Z',
    command: 'npm run bench -- proxy',
    minutes: 12.3,
    machine: { cores: 2, cpu: 'Some CPU', memoryGib: 24, kernel: 'linux 6', node: 'v26' },
    rounds: 1,
    seconds: 3,
    versions: { envoy: '1.40.0' },
    missing: { haproxy: 'no apt-get' },
    cases: [{ ...result([sample(30)], [sample(100)]), failed: { nginx: 'does not listen\nmore' } }],
  };
  const text = report(results);
  t.regex(text, /\| 100\.0 \| +30\.0 \| \*\*0\.30\*\* \| ≤ 0\.35 \| met \|/);
  for (const part of [
    '`npm run bench -- proxy`',
    'Envoy 1.40.0',
    'without haproxy: no apt-get',
    '12 minutes',
    '5 % of',
  ])
    t.true(text.includes(part), part);
  t.true(text.includes('nginx could not be measured: does not listen'));
  t.true(text.includes('does not listen more'));
});

test('the plot has a bar for each ratio, within the picture, and the goal', (t) => {
  const picture = plot([
    result([sample(30)], [sample(100)]),
    result([sample(900)], [sample(100)], null),
    result([sample(1)], []),
  ]);
  const bars = [...picture.matchAll(/<rect x="(\d+)" y="\d+" width="([\d.]+)"/g)];
  t.is(bars.length, 2);
  for (const [, x, width] of bars) t.true(Number(x) + Number(width) <= 900);
  t.true(Number(bars[1][2]) > 4 * Number(bars[0][2]));
  t.is(picture.match(/#c92a2a/g)?.length, 1);
  t.true(picture.includes('HTTP/1.1 &lt;plain&gt; &amp; simple'));
  t.regex(picture, />9\.00</);
});
