/** ServiceEntry (networking.istio.io): a host that Kubernetes does not know. https://istio.io/latest/docs/reference/config/networking/service-entry/ */
import { columns } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { array, enumOf, type Infer, object, required, string } from '../schema/schema.ts';
import { checkedPort, type IstioStatus, labelsSelector, networkingKind, texts } from './common.ts';
import { checkServiceEntry } from './rules/service-entry-rules.ts';
import { workloadEntrySpec } from './workload-entry.ts';

const servicePort = object({
  name: required(string({ maxLength: 256 })),
  number: required(checkedPort()),
  protocol: string({ maxLength: 256 }),
  targetPort: checkedPort(),
});

const spec = object(
  {
    addresses: array(string({ maxLength: 64 }), { maxItems: 256 }),
    endpoints: array(workloadEntrySpec, { maxItems: 4096 }),
    exportTo: texts,
    hosts: required(
      array(
        string({
          cel: [{ rule: 'self != "*"', message: 'must not be the wildcard alone', holds: (host) => host !== '*' }],
        }),
        { minItems: 1, maxItems: 256 },
      ),
    ),
    location: enumOf(['MESH_EXTERNAL', 'MESH_INTERNAL']),
    ports: array(servicePort, {
      maxItems: 256,
      listMapKeys: ['name'],
      cel: [
        {
          rule: 'self.all(l1, self.exists_one(l2, l1.number == l2.number))',
          message: 'must have every port number once',
          holds: (ports) => new Set(ports.map((port) => port.number)).size === ports.length,
        },
      ],
    }),
    resolution: enumOf(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS']),
    subjectAltNames: texts,
    workloadSelector: labelsSelector,
  },
  {
    cel: [
      {
        rule: '(has(self.workloadSelector) ? 1 : 0) + (has(self.endpoints) ? 1 : 0) <= 1',
        message: 'workloadSelector and endpoints cannot be set together',
        holds: (spec) => !(spec.workloadSelector && spec.endpoints),
      },
      {
        rule: '!((has(self.addresses) ? self.addresses : []).exists(k, k.contains("/")) && !((has(self.resolution) ? self.resolution : "NONE") in ["STATIC", "NONE"]))',
        message: 'addresses can be blocks for resolution NONE and STATIC alone',
        holds: (spec) =>
          !spec.addresses?.some((address) => address.includes('/')) ||
          ['NONE', 'STATIC'].includes(spec.resolution ?? 'NONE'),
      },
      {
        rule: '((has(self.resolution) ? self.resolution : "NONE") == "NONE") ? !has(self.endpoints) : true',
        message: 'endpoints cannot be set for resolution NONE',
        holds: (spec) => (spec.resolution ?? 'NONE') !== 'NONE' || spec.endpoints === undefined,
      },
      {
        rule: '((has(self.resolution) ? self.resolution : "") == "DNS_ROUND_ROBIN") ? ((has(self.endpoints) ? self.endpoints : []).size() <= 1) : true',
        message: 'resolution DNS_ROUND_ROBIN takes at most one endpoint',
        holds: (spec) => spec.resolution !== 'DNS_ROUND_ROBIN' || (spec.endpoints ?? []).length <= 1,
      },
    ],
  },
);

export type ServiceEntryPort = Infer<typeof servicePort>;
export type ServiceEntrySpec = Infer<typeof spec>;
export type ServiceEntry = KubeObject<'ServiceEntry', ServiceEntrySpec, IstioStatus>;

export const serviceEntry = networkingKind({
  kind: 'ServiceEntry',
  plural: 'serviceentries',
  shortName: 'se',
  columns: columns({ Hosts: '.spec.hosts', Location: '.spec.location', Resolution: '.spec.resolution' }),
  specIsRequired: true,
  spec,
  rules: [checkServiceEntry],
});
