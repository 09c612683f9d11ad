/** Where traffic goes: host, subset, weight. */
import { below, type Report, show } from '../../schema/problem.ts';
import type { Destination } from '../virtual-service.ts';
import { isDnsLabel, wildcardNameProblem } from './host-name.ts';

export function checkSubsetName(report: Report, name: string): void {
  if (!isDnsLabel(name))
    report.error([], name === '' ? 'must not be empty' : `must be a DNS label, is ${show(name)}`, 'format');
}

export function checkDestination(report: Report, destination: Destination | undefined): void {
  if (!destination) return;
  const problem = destination.host === '*' ? 'must be one host, is "*"' : wildcardNameProblem(destination.host);
  if (problem) report.error(['host'], problem, 'format');
  if (destination.subset) checkSubsetName(below(report, 'subset'), destination.subset);
  if (destination.port && destination.port.number === undefined)
    report.error(['port', 'number'], 'is required', 'required');
}

/** Shares of traffic: a weight is relative to the sum, so the sum must not be 0. One destination takes everything. */
export function checkWeights(report: Report, routes: ReadonlyArray<{ weight?: number }> | undefined): void {
  if (!routes) return;
  let total = 0;
  routes.forEach(({ weight = 0 }, i) => {
    if (weight < 0) report.error(['route', i, 'weight'], `must not be negative, is ${weight}`, 'range');
    total += weight;
  });
  if (routes.length > 1 && total === 0)
    report.error(['route'], 'needs a weight above 0 on at least one of its destinations', 'range');
}
