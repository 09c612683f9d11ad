/** `targetRef`: what a policy is attached to. */
import { type Report, show } from '../../schema/problem.ts';
import type { PolicyTargetReference } from '../common.ts';

const targets = [
  '/Service',
  'core/Service',
  'networking.istio.io/ServiceEntry',
  'gateway.networking.k8s.io/Gateway',
  'gateway.networking.k8s.io/GatewayClass',
];

export function checkTargetRef(report: Report, { group = '', kind }: PolicyTargetReference): void {
  if (!targets.includes(`${group}/${kind}`))
    report.error(
      ['kind'],
      `must be a Service, ServiceEntry, Gateway or GatewayClass with its group, is ${show(group ? `${group}/${kind}` : kind)}`,
      'enum',
    );
}
