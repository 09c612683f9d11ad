import type { Machine } from '../machine.ts';
import { table } from '../markdown.ts';
import { summarize } from '../statistics.ts';
import { type CaseResult, type Goal, type ProxyName, type Sample, unitNames } from './measure.ts';

export interface ProxyResults {
  readonly takenAt: string;
  readonly command: string;
  readonly minutes: number;
  readonly machine: Machine;
  readonly rounds: number;
  readonly seconds: number;
  readonly versions: Record<string, string>;
  readonly missing: Record<string, string>;
  readonly cases: readonly CaseResult[];
}

const titles: Record<ProxyName, string> = { lateen: 'Lateen', envoy: 'Envoy', nginx: 'nginx', haproxy: 'HAProxy' };
const others: readonly ProxyName[] = ['nginx', 'haproxy'];

/** The middle of some figure of a proxy's samples; null when it has none. */
export function median(result: CaseResult, proxy: ProxyName, of: (sample: Sample) => number | null): number | null {
  const values = (result.samples[proxy] ?? []).map(of).filter((value) => value !== null);
  return values.length === 0 ? null : summarize(values).median;
}

/** The middle of the ratios to Envoy within the same round; null without rounds that both were measured in. */
export function ratioToEnvoy(
  result: CaseResult,
  proxy: ProxyName,
  of: (sample: Sample) => number | null = ({ cost }) => cost,
): number | null {
  const envoy = result.samples.envoy ?? [];
  const ratios = (result.samples[proxy] ?? []).flatMap((sample, round) => {
    const [own, base] = [of(sample), envoy[round] === undefined ? null : of(envoy[round])];
    return own === null || base === null || base <= 0 ? [] : [own / base];
  });
  return ratios.length === 0 ? null : summarize(ratios).median;
}

/** Null where there is no goal, or nothing to hold against it. */
export function meets(result: CaseResult): boolean | null {
  const { goal } = result;
  if (goal === null) return null;
  const figure = goal.of === 'envoy' ? ratioToEnvoy(result, 'lateen') : median(result, 'lateen', ({ cost }) => cost);
  if (figure === null) return null;
  // As it is printed, so that nobody reads 0.35 and "missed".
  if (Number(figure.toFixed(2)) > goal.atMost) return false;
  if (!goal.p99) return true;
  const p99 = ratioToEnvoy(result, 'lateen', ({ p99Ms }) => p99Ms);
  return p99 === null || p99 <= 1;
}

const round = (value: number | null, digits: number) => (value === null ? '' : value.toFixed(digits));
const goalText = (goal: Goal | null) =>
  goal === null ? '' : `≤ ${goal.of === 'envoy' ? goal.atMost.toFixed(2) : goal.atMost}${goal.p99 ? ', p99 too' : ''}`;

function costs(results: ProxyResults): string {
  const rows = results.cases.map((result) => {
    const digits = result.unit === 'gigabyte' ? 3 : 1;
    const met = meets(result);
    return [
      result.title,
      unitNames[result.unit],
      round(
        median(result, 'envoy', ({ cost }) => cost),
        digits,
      ),
      round(
        median(result, 'lateen', ({ cost }) => cost),
        digits,
      ),
      `**${round(ratioToEnvoy(result, 'lateen'), 2) || '–'}**`,
      goalText(result.goal),
      met === null ? '' : met ? 'met' : 'missed',
      ...others.map((proxy) => round(ratioToEnvoy(result, proxy), 2)),
    ];
  });
  return table(['case', 'unit', 'Envoy', 'Lateen', 'ratio', 'goal', '', 'nginx', 'HAProxy'], rows);
}

function speeds(results: ProxyResults): string {
  const rows = results.cases
    .filter((result) => median(result, 'lateen', ({ perSecond }) => perSecond) !== null)
    .flatMap((result) =>
      (['envoy', 'lateen', ...others] as const)
        .filter((proxy) => result.samples[proxy] !== undefined)
        .map((proxy, i) => {
          const rate = median(result, proxy, ({ perSecond }) => perSecond);
          const errors = (result.samples[proxy] ?? []).reduce((sum, sample) => sum + sample.errors, 0);
          return [
            i === 0 ? result.title : '',
            titles[proxy],
            result.unit === 'gigabyte' ? `${round((rate ?? 0) / 1e9, 2)} GB` : round(rate, 0),
            round(
              median(result, proxy, ({ p50Ms }) => p50Ms),
              2,
            ),
            round(
              median(result, proxy, ({ p99Ms }) => p99Ms),
              2,
            ),
            round((median(result, proxy, ({ memory }) => memory.rss) ?? 0) / 1024, 1),
            (result.samples[proxy]?.[0]?.parts ?? [])
              .map((_, part) =>
                round(
                  median(result, proxy, ({ parts }) => parts[part] ?? null),
                  1,
                ),
              )
              .join(' + '),
            String(errors),
          ];
        }),
    );
  return table(['case', 'proxy', 'a second', 'p50 ms', 'p99 ms', 'RSS MiB', 'of each µs', 'errors'], rows);
}

function quiet(results: ProxyResults): string {
  const shares = results.cases.flatMap((result) => median(result, 'lateen', ({ othersShare }) => othersShare) ?? []);
  const loads = results.cases.map(({ loadAverage }) => loadAverage);
  const worst =
    shares.length === 0 ? '' : `; others had up to ${(Math.max(...shares) * 100).toFixed(0)} % of the proxies' core`;
  return loads.length === 0
    ? ''
    : `Load average up to ${Math.max(...loads).toFixed(1)}, of which the bench itself makes about 2${worst}.`;
}

export function report(results: ProxyResults): string {
  const { machine, versions } = results;
  const failures = results.cases.flatMap(({ title, failed }) =>
    Object.entries(failed).map(
      ([proxy, why]) =>
        `- ${title}: ${titles[proxy as ProxyName]} could not be measured: ${why.replace(/\s+/g, ' ').slice(0, 300)}`,
    ),
  );
  const absent = Object.entries(results.missing).map(([name, why]) => `- without ${name}: ${why}`);
  return `${[
    '# The proxy beside Envoy, nginx and HAProxy',
    `\`${results.command}\`, ${results.takenAt.slice(0, 10)}, ${results.minutes.toFixed(0)} minutes.`,
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, ${machine.kernel}, Node ${machine.node}; ${Object.entries(
      versions,
    )
      .map(([name, version]) => `${titles[name as ProxyName]} ${version}`)
      .join(
        ', ',
      )}. Proxies on one core, load and upstream on another; ${results.rounds} rounds of ${results.seconds} s in which each proxy is measured in turn. ${quiet(results)}`,
    'The cost is the run time of all threads of a proxy by the scheduler, divided by what was done. Ratios are to Envoy in the same round (medians); the same bootstrap file drives Envoy and Lateen, metrics on, access log off unless the case says so. Resident memory (RSS) is what the memory cases count, pages of a program’s own file among it: Lateen gives back those that only its start needed (docs/adr/0015-proxy-memory.md), the others keep theirs. Given back, they may stay in the system’s page cache.',
    '![CPU and memory, Envoy = 1](proxy.svg)',
    costs(results),
    '## Speed',
    'Of proxies that have one core and share the machine with their load; latency is under full load.',
    speeds(results),
    ...(failures.length + absent.length > 0 ? ['## Not measured', [...absent, ...failures].join('\n')] : []),
  ].join('\n\n')}\n`;
}
