/** Rules across the fields of a WorkloadEntry and a WorkloadGroup. */
import { below, type Report, show } from '../../schema/problem.ts';
import type { WorkloadEntry, WorkloadEntrySpec } from '../workload-entry.ts';
import type { WorkloadGroup } from '../workload-group.ts';
import { dnsNameProblem, isIpAddress } from './host-name.ts';
import { checkLabels } from './label-rules.ts';

export function checkWorkloadEntry({ spec }: Pick<WorkloadEntry, 'spec'>, report: Report): void {
  checkWorkload(below(report, 'spec'), spec);
}

/** An address may be a name: a ServiceEntry with resolution DNS that selects the workload resolves it. */
function checkWorkload(report: Report, { address = '', network, labels }: WorkloadEntrySpec): void {
  if (address === '') {
    if (network) report.warning(['address'], `is not set; the workload is reached through network ${show(network)}`);
  } else if (!address.startsWith('unix://') && !isIpAddress(address)) {
    const problem = dnsNameProblem(address);
    if (problem) report.error(['address'], problem, 'format');
  }
  checkLabels(report, 'labels', labels);
}

export function checkWorkloadGroup({ spec }: Pick<WorkloadGroup, 'spec'>, report: Report): void {
  const at = below(report, 'spec');
  const { address, labels } = spec.template;
  if (address) at.warning(['template', 'address'], 'has no effect: each workload brings its own');
  checkLabels(below(at, 'template'), 'labels', labels);
  checkLabels(below(at, 'metadata'), 'labels', spec.metadata?.labels);
  const { httpGet, tcpSocket, exec, grpc } = spec.probe ?? {};
  if (spec.probe && !(httpGet || tcpSocket || exec || grpc))
    at.error(['probe'], 'needs one of httpGet, tcpSocket, exec and grpc', 'required');
  if (httpGet?.path !== undefined && httpGet.path !== '' && !httpGet.path.startsWith('/'))
    at.error(['probe', 'httpGet', 'path'], `must begin with "/", is ${show(httpGet.path)}`, 'format');
}
