/** ServiceEntry (networking.istio.io): a host that Kubernetes does not know. https://istio.io/latest/docs/reference/config/networking/service-entry/ */
import { columns } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { array, enumOf, type Infer, map, object, required, string, uint32 } from '../schema/schema.ts';
import { checkedPort, type IstioStatus, networkingKind, text, texts } from './common.ts';
import { checkServiceEntry } from './rules/service-entry-rules.ts';

const socketPrefix = 'unix://';

const endpoint = object(
  {
    address: string({
      maxLength: 256,
      cel: [
        {
          rule: 'self.startsWith("unix://") ? (self.substring(7, 8) == "/" || self.substring(7, 8) == "@") : true',
          message: 'must be an absolute path or begin with @ after unix://',
          holds: (address) => !address.startsWith(socketPrefix) || /^[/@]/.test(address.slice(socketPrefix.length)),
        },
        {
          rule: 'self.startsWith("unix://") ? !self.endsWith("/") : true',
          message: 'must be a socket, not a folder',
          holds: (address) => !address.startsWith(socketPrefix) || !address.endsWith('/'),
        },
      ],
    }),
    labels: map(text, { maxProperties: 256 }),
    locality: string({ maxLength: 2048 }),
    network: string({ maxLength: 2048 }),
    ports: map(checkedPort(), {
      maxProperties: 128,
      cel: [
        {
          rule: 'self.all(key, size(key) < 63 && key.matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$"))',
          message: 'must have port names (letters, digits, dashes) as its keys',
          holds: (ports) =>
            Object.keys(ports).every(
              (name) => name.length < 63 && /^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$/.test(name),
            ),
        },
      ],
    }),
    serviceAccount: string({ maxLength: 253 }),
    weight: uint32(),
  },
  {
    cel: [
      {
        rule: 'has(self.address) || has(self.network)',
        message: 'needs an address, or a network',
        holds: (endpoint) => endpoint.address !== undefined || endpoint.network !== undefined,
      },
      {
        rule: '(has(self.address) ? self.address : "").startsWith("unix://") ? !has(self.ports) : true',
        message: 'a Unix socket has no ports',
        holds: (endpoint) => !endpoint.address?.startsWith(socketPrefix) || endpoint.ports === undefined,
      },
    ],
  },
);

const servicePort = object({
  name: required(string({ maxLength: 256 })),
  number: required(checkedPort()),
  protocol: string({ maxLength: 256 }),
  targetPort: checkedPort(),
});

const spec = object(
  {
    addresses: array(string({ maxLength: 64 }), { maxItems: 256 }),
    endpoints: array(endpoint, { maxItems: 4096 }),
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
    workloadSelector: object({
      labels: map(
        string({
          maxLength: 63,
          cel: [
            {
              rule: '!self.contains("*")',
              message: 'must not have a wildcard',
              holds: (value) => !value.includes('*'),
            },
          ],
        }),
        { maxProperties: 256 },
      ),
    }),
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

export type WorkloadEntrySpec = Infer<typeof endpoint>;
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
