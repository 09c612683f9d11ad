/** EnvoyFilters and WasmPlugins: IST0151 to IST0155, LAT0004. */
import type { EnvoyFilter } from '../../api/istio/envoy-filter.ts';
import type { Tell } from './finding.ts';
import type { View } from './view.ts';

const relative = ['INSERT_BEFORE', 'INSERT_AFTER', 'REPLACE', 'MERGE', 'REMOVE'];
const notForRoutes = ['ROUTE_CONFIGURATION', 'HTTP_ROUTE'];

export function analyzeExtensions(view: View, tell: Tell): void {
  for (const filter of view.of('EnvoyFilter')) analyzeEnvoyFilter(filter, tell);
  for (const plugin of view.of('WasmPlugin'))
    tell('LAT0004', plugin, '', 'takes effect on workloads that run Envoy; the proxy of Lateen runs no WebAssembly');
}

function analyzeEnvoyFilter(filter: EnvoyFilter, tell: Tell): void {
  for (const [i, { applyTo = 'INVALID', patch, match }] of (filter.spec.configPatches ?? []).entries()) {
    const at = `spec.configPatches[${i}].patch.operation`;
    const operation = patch?.operation ?? 'INVALID';
    if (relative.includes(operation) && !filter.spec.priority) {
      const code = match?.proxy?.proxyVersion ? 'IST0155' : 'IST0151';
      if (code === 'IST0155' || operation.startsWith('INSERT_'))
        tell(
          code,
          filter,
          at,
          code === 'IST0151'
            ? 'This EnvoyFilter does not have a priority and has a relative patch operation set which can cause the EnvoyFilter not to be applied. Using the INSERT_FIRST or ADD option or setting the priority may help in ensuring the EnvoyFilter is applied correctly.'
            : 'This EnvoyFilter does not have a priority and has a relative patch operation and proxyVersion set which can cause the EnvoyFilter not to be applied during an upgrade. Using the INSERT_FIRST or ADD option or setting the priority may help in ensuring the EnvoyFilter is applied correctly.',
        );
    }
    if (operation === 'REPLACE' && applyTo !== 'HTTP_FILTER' && applyTo !== 'NETWORK_FILTER')
      tell('IST0152', filter, at, 'The REPLACE operation is only valid for HTTP_FILTER and NETWORK_FILTER.');
    if (operation === 'ADD' && notForRoutes.includes(applyTo))
      tell(
        'IST0153',
        filter,
        at,
        'The ADD operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, or HTTP_ROUTE.',
      );
    if (operation === 'REMOVE' && notForRoutes.includes(applyTo))
      tell(
        'IST0154',
        filter,
        at,
        'The REMOVE operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, or HTTP_ROUTE.',
      );
  }
  if ((filter.spec.configPatches?.length ?? 0) > 0)
    tell(
      'LAT0004',
      filter,
      'spec.configPatches',
      'takes effect on workloads that run Envoy; the proxy of Lateen takes no patches',
    );
}
