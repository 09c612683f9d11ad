import { type Row, table } from '../testing/validation-table.ts';

const rows: Row[] = [
  [
    'a header, as Istio shows it',
    {
      workloadSelector: { labels: { app: 'a' } },
      configPatches: [
        {
          applyTo: 'HTTP_FILTER',
          match: {
            context: 'SIDECAR_INBOUND',
            listener: { filterChain: { filter: { name: 'envoy.filters.network.http_connection_manager' } } },
          },
          patch: { operation: 'INSERT_BEFORE', value: { name: 'envoy.filters.http.lua', typed_config: { a: [1] } } },
        },
      ],
    },
    [],
  ],
  [
    'what to change is not said',
    { configPatches: [{}, { applyTo: 'CLUSTER' }, { applyTo: 'CLUSTER', patch: {} }] },
    [
      'configPatches[0].applyTo: is required',
      'configPatches[1].patch: is required',
      'configPatches[2].patch.operation: is required',
    ],
  ],
  [
    'a match of something else',
    { configPatches: [{ applyTo: 'CLUSTER', match: { listener: {} }, patch: { operation: 'MERGE', value: {} } }] },
    ['configPatches[0].match.listener: does not go with applyTo CLUSTER, which is matched by cluster'],
  ],
  [
    'inserted nowhere',
    { configPatches: [{ applyTo: 'HTTP_FILTER', patch: { operation: 'INSERT_AFTER', value: {} } }] },
    ['configPatches[0].match.listener: is required to say where to insert: operation INSERT_AFTER'],
  ],
  [
    'nothing to merge',
    { configPatches: [{ applyTo: 'BOOTSTRAP', patch: { operation: 'ADD' } }] },
    [
      'configPatches[0].patch.value: is required for operation ADD',
      'configPatches[0].patch.operation: must be MERGE for applyTo BOOTSTRAP, is ADD',
    ],
  ],
  [
    'two ways to say for whom',
    { workloadSelector: { labels: { a: 'b' } }, targetRefs: [{ kind: 'Service', name: 'a' }] },
    [': at most one of workloadSelector and targetRefs can be set'],
  ],
];
table('networking.istio.io/v1alpha3', 'EnvoyFilter', rows);
