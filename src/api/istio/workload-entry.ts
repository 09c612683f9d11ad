/** WorkloadEntry (networking.istio.io): a workload outside Kubernetes. https://istio.io/latest/docs/reference/config/networking/workload-entry/ */
import type { PrinterColumn } from '../kind.ts';
import { age } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { type CelRule, type Infer, map, object, string, uint32 } from '../schema/schema.ts';
import { checkedPort, type IstioStatus, networkingKind, text } from './common.ts';
import { checkWorkloadEntry } from './rules/workload-entry-rules.ts';

const socketPrefix = 'unix://';

const fields = {
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
};

interface Endpoint {
  address?: string;
  network?: string;
  ports?: Record<string, number>;
}

const socketHasNoPorts: CelRule<Endpoint> = {
  rule: '(has(self.address) ? self.address : "").startsWith("unix://") ? !has(self.ports) : true',
  message: 'a Unix socket has no ports',
  holds: ({ address, ports }) => !address?.startsWith(socketPrefix) || ports === undefined,
};

/** Also an endpoint of a ServiceEntry. */
export const workloadEntrySpec = object(fields, {
  cel: [
    {
      rule: 'has(self.address) || has(self.network)',
      message: 'needs an address, or a network',
      holds: ({ address, network }) => address !== undefined || network !== undefined,
    },
    socketHasNoPorts,
  ],
});

/** What a WorkloadGroup's entries have in common; each brings its own address. */
export const workloadTemplate = object(fields, { cel: [socketHasNoPorts] });

export type WorkloadEntrySpec = Infer<typeof workloadEntrySpec>;
export type WorkloadEntry = KubeObject<'WorkloadEntry', WorkloadEntrySpec, IstioStatus>;

const address: PrinterColumn = { name: 'Address', type: 'string', jsonPath: '.spec.address' };

export const workloadEntry = networkingKind({
  kind: 'WorkloadEntry',
  plural: 'workloadentries',
  shortName: 'we',
  columns: [age, address],
  specIsRequired: true,
  spec: workloadEntrySpec,
  rules: [checkWorkloadEntry],
});
