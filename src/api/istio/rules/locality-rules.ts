/** Localities, `region/zone/subzone`, and how traffic fails over between them. */
import { each, type Report, show } from '../../schema/problem.ts';
import type { LoadBalancerSettings } from '../destination-rule.ts';

type LocalityLb = NonNullable<LoadBalancerSettings['localityLbSetting']>;
type ZoneAwareLb = NonNullable<LoadBalancerSettings['zoneAwareLbSetting']>;

const topologyLabels = ['topology.kubernetes.io/region', 'topology.kubernetes.io/zone', 'topology.istio.io/subzone'];

export function checkLocalityLb(report: Report, lb: LocalityLb | undefined, hasOutlierDetection: boolean): void {
  if (!lb) return;
  if (lb.distribute?.length && lb.failover?.length)
    report.error(['failover'], 'cannot be set together with distribute', 'conflict');
  if (lb.failover?.length)
    each(report, 'failoverPriority', lb.failoverPriority, (label, at) => {
      if (topologyLabels.includes(label)) at.error([], `${label} cannot be used together with failover`, 'conflict');
    });
  checkFailover(report, lb, hasOutlierDetection);
  each(report, 'distribute', lb.distribute, ({ to = {} }, at) => {
    let total = 0;
    for (const [locality, weight] of Object.entries(to)) {
      if (weight < 1 || weight > 100) at.error(['to', locality], `must be 1–100, is ${weight}`, 'range');
      total += weight;
    }
    if (total !== 100) at.error(['to'], `must have weights that add up to 100, has ${total}`, 'range');
    checkLocalities(Object.keys(to), (i, message) => at.error(['to', Object.keys(to)[i]], message));
  });
  checkLocalities(
    (lb.distribute ?? []).map(({ from = '' }) => from),
    (i, message) => report.error(['distribute', i, 'from'], message),
  );
}

/** Envoy itself keeps to the own zone; what is left to say is the order of other regions. */
export function checkZoneAwareLb(report: Report, lb: ZoneAwareLb | undefined, hasOutlierDetection: boolean): void {
  if (!lb) return;
  each(report, 'failoverPriority', lb.failoverPriority, (label, at) => {
    if (topologyLabels.includes(label)) at.error([], `${label} is taken care of already`, 'conflict');
  });
  checkFailover(report, lb, hasOutlierDetection);
}

function checkFailover(
  report: Report,
  lb: Pick<LocalityLb, 'failover' | 'failoverPriority'>,
  hasOutlierDetection: boolean,
): void {
  if ((lb.failover?.length || lb.failoverPriority?.length) && !hasOutlierDetection)
    report.warning([], 'fails over only with an outlierDetection, which tells that endpoints fail');
  each(report, 'failover', lb.failover, ({ from = '', to = '' }, at) => {
    if (from === to) at.error(['to'], `must be another region than ${show(from)}`, 'conflict');
    for (const [field, region] of Object.entries({ from, to }))
      if (/[/*]/.test(region))
        at.error([field], `must be a region, without zone or wildcard, is ${show(region)}`, 'format');
  });
}

/** Of one list, no locality may lie in another. */
function checkLocalities(localities: readonly string[], refuse: (i: number, message: string) => void): void {
  for (const [i, locality] of localities.entries()) {
    const parts = locality.split('/');
    const before = localities.slice(0, i).find((other) => contains(other, locality) || contains(locality, other));
    if (parts.length > 3 || parts.includes('')) refuse(i, `must be REGION/ZONE/SUBZONE, is ${show(locality)}`);
    else if (/\*./.test(locality)) refuse(i, `may have "*" at its end only, is ${show(locality)}`);
    else if (before !== undefined) refuse(i, `overlaps with ${show(before)}`);
  }
}

function contains(wide: string, narrow: string): boolean {
  const outer = wide.replace(/\/?\*$/, '');
  return outer === '' || narrow === outer || narrow.startsWith(`${outer}/`);
}
