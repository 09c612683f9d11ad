import type { Machine } from '../machine.ts';
import { mib, table } from '../markdown.ts';
import type { SoakResult } from './run.ts';
import { failed } from './traffic.ts';

/** The first part of a run, in which code is compiled and pools fill, says nothing about leaks. */
const settledShare = 1 / 3;

export interface Trend {
  /** KiB a minute, by least squares over the settled part. */
  readonly perMinute: number;
  readonly first: number;
  readonly last: number;
  readonly most: number;
}

/** Null with fewer than three samples in the settled part. */
export function trendOf(memory: SoakResult['memory']): Trend | null {
  const end = memory.at(-1)?.second ?? 0;
  const settled = memory.filter(({ second }) => second >= end * settledShare);
  if (settled.length < 3) return null;
  const mean = (of: (sample: { second: number; rss: number }) => number) =>
    settled.reduce((sum, sample) => sum + of(sample), 0) / settled.length;
  const [x, y] = [mean(({ second }) => second), mean(({ rss }) => rss)];
  const slope = mean(({ second, rss }) => (second - x) * (rss - y)) / mean(({ second }) => (second - x) ** 2);
  return {
    perMinute: slope * 60,
    first: settled[0].rss,
    last: settled[settled.length - 1].rss,
    most: Math.max(...memory.map(({ rss }) => rss)),
  };
}

export function soakReport(result: SoakResult, takenAt: string, command: string, machine: Machine): string {
  const trend = trendOf(result.memory);
  const rows = Object.entries(result.traffic).map(([name, tally]) => [
    name,
    String(tally.done),
    String(tally.repeated),
    String(failed(tally)),
    [...tally.failures].map(([why, count]) => `${why} ×${count}`).join(', '),
  ]);
  const memory =
    trend === null
      ? 'The run was too short to tell how memory develops.'
      : `Resident memory of the proxy: ${mib(trend.first)} after a third of the run, ${mib(trend.last)} at its end, ${mib(trend.most)} at the most; the line through the last two thirds rises by ${trend.perMinute.toFixed(0)} KiB a minute.`;
  return `${[
    '# Soak: configuration pushed twice a second, under load',
    `\`${command}\`, ${takenAt.slice(0, 10)}, ${result.seconds} s. ${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, Node ${machine.node}.`,
    `${result.pushes} pushes over delta ADS, each with other clusters, endpoints, routes and another certificate, every fourth with other listeners; ${result.acknowledged} responses acknowledged, ${result.refusals.length} refused.`,
    table(['traffic', 'requests', 'repeated', 'failed', 'why'], rows),
    memory,
    'Repeated are requests that met an idle connection as it was closed, and streams refused untreated: HTTP lets their callers send them again.',
    ...result.refusals.slice(0, 10).map((refusal) => `- ${refusal}`),
  ].join('\n\n')}\n`;
}
