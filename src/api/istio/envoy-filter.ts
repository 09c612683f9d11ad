/** EnvoyFilter (networking.istio.io): changes to what a proxy is told. https://istio.io/latest/docs/reference/config/networking/envoy-filter/ */
import type { KubeObject } from '../meta.ts';
import { anyObject, array, enumOf, type Infer, int32, map, object, uint32 } from '../schema/schema.ts';
import {
  checkedPort,
  type IstioStatus,
  labelsSelector,
  networkingKind,
  policyTargetReference,
  text,
} from './common.ts';
import { checkEnvoyFilter } from './rules/envoy-filter-rules.ts';

const filter = object({ name: text, subFilter: object({ name: text }) });

const match = object(
  {
    cluster: object({ name: text, portNumber: uint32(), service: text, subset: text }),
    context: enumOf(['ANY', 'SIDECAR_INBOUND', 'SIDECAR_OUTBOUND', 'GATEWAY', 'WAYPOINT']),
    listener: object({
      filterChain: object({
        applicationProtocols: text,
        destinationPort: uint32(),
        filter,
        name: text,
        sni: text,
        transportProtocol: text,
        transportSocket: text,
      }),
      listenerFilter: text,
      name: text,
      portName: text,
      portNumber: uint32(),
    }),
    proxy: object({ metadata: map(text), proxyVersion: text }),
    routeConfiguration: object({
      gateway: text,
      name: text,
      portName: text,
      portNumber: uint32(),
      vhost: object({
        domainName: text,
        name: text,
        route: object({ action: enumOf(['ANY', 'ROUTE', 'REDIRECT', 'DIRECT_RESPONSE']), name: text }),
      }),
    }),
    waypoint: object({ filter, portNumber: checkedPort(), route: object({ name: text }) }),
  },
  {
    oneOf: [['listener', 'routeConfiguration', 'cluster', 'waypoint']],
    cel: [
      {
        rule: 'has(self.context) ? ((self.context == "WAYPOINT") ? has(self.waypoint) : !has(self.waypoint)) : !has(self.waypoint)',
        message: 'waypoint goes with context WAYPOINT, and with no other',
        holds: ({ context, waypoint }) => (context === 'WAYPOINT') === (waypoint !== undefined),
      },
    ],
  },
);

const applyTo = [
  'INVALID',
  'LISTENER',
  'FILTER_CHAIN',
  'NETWORK_FILTER',
  'HTTP_FILTER',
  'ROUTE_CONFIGURATION',
  'VIRTUAL_HOST',
  'HTTP_ROUTE',
  'CLUSTER',
  'EXTENSION_CONFIG',
  'BOOTSTRAP',
  'LISTENER_FILTER',
] as const;

const operations = [
  'INVALID',
  'MERGE',
  'ADD',
  'REMOVE',
  'INSERT_BEFORE',
  'INSERT_AFTER',
  'INSERT_FIRST',
  'REPLACE',
  'MERGE_AND_REPLACE_LIST',
] as const;

const configPatch = object({
  applyTo: enumOf(applyTo),
  match,
  patch: object({
    filterClass: enumOf(['UNSPECIFIED', 'AUTHN', 'AUTHZ', 'STATS']),
    operation: enumOf(operations),
    value: anyObject(),
  }),
});

const spec = object(
  {
    configPatches: array(configPatch),
    priority: int32(),
    targetRefs: array(policyTargetReference, { maxItems: 16 }),
    workloadSelector: labelsSelector,
  },
  {
    cel: [
      {
        rule: '(has(self.workloadSelector) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1',
        message: 'at most one of workloadSelector and targetRefs can be set',
        holds: ({ workloadSelector, targetRefs }) => workloadSelector === undefined || targetRefs === undefined,
      },
    ],
  },
);

export type ConfigPatch = Infer<typeof configPatch>;
export type EnvoyFilterSpec = Infer<typeof spec>;
export type EnvoyFilter = KubeObject<'EnvoyFilter', EnvoyFilterSpec, IstioStatus>;

export const envoyFilter = networkingKind({
  kind: 'EnvoyFilter',
  plural: 'envoyfilters',
  versions: ['v1alpha3'],
  columns: [],
  spec,
  rules: [checkEnvoyFilter],
});
