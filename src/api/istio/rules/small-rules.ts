/** Rules of kinds that have few. */
import { below, each, type Report } from '../../schema/problem.ts';
import type { PolicyTargetReference, WorkloadSelector } from '../common.ts';
import type { ProxyConfig } from '../proxy-config.ts';
import { warnOfEmptySelector } from './label-rules.ts';
import { checkTargetRef } from './target-ref.ts';

interface Selected {
  spec: { selector?: WorkloadSelector; targetRef?: PolicyTargetReference; targetRefs?: PolicyTargetReference[] };
}

/** Whom it is for. */
export function checkSelected({ spec }: Selected, report: Report): void {
  const at = below(report, 'spec');
  warnOfEmptySelector(at, spec.selector);
  if (spec.targetRef) checkTargetRef(below(at, 'targetRef'), spec.targetRef);
  each(at, 'targetRefs', spec.targetRefs, (target, there) => checkTargetRef(there, target));
}

export function checkProxyConfig({ spec }: Pick<ProxyConfig, 'spec'>, report: Report): void {
  checkSelected({ spec }, report);
}
