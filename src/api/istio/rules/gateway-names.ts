import { each, type Report, show } from '../../schema/problem.ts';
import { dnsNameProblem, isDnsLabel } from './host-name.ts';

/** References to Gateways: `mesh`, `name`, `namespace/name`, or the old `name.namespace.svc…`. */
export function checkGatewayNames(report: Report, gateways: readonly string[] | undefined): void {
  each(report, 'gateways', gateways, (gateway, at) => {
    const parts = gateway.split('/');
    if (parts.length === 1) {
      const problem = dnsNameProblem(gateway);
      if (problem) at.error([], problem, 'format');
      else if (gateway.includes('.')) {
        const [name, namespace] = gateway.split('.');
        at.warning([], `is in an old form; write "${namespace}/${name}"`, 'deprecated');
      }
    } else if (parts.length > 2 || !parts.every(isDnsLabel))
      at.error([], `must be NAMESPACE/NAME, is ${show(gateway)}`, 'format');
  });
}
