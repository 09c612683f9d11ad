/** The names that a proxy answers its application's DNS with (Istio: pkg/dns/server/name_table.go `BuildNameTable`). */
import { isIP } from 'node:net';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type NameTable,
  type NameTable_NameInfoSchema,
  NameTableSchema,
} from '../../xds/gen/istio/networking/nds/v1/nds_pb.js';
import { addressesFor } from '../model/address-allocation.ts';
import type { Service } from '../model/service.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { Memo } from './memo.ts';
import type { Scope } from './scope.ts';
import { visibleServices } from './virtual-hosts.ts';

type NameInfo = MessageInitShape<typeof NameTable_NameInfoSchema>;

/**
 * Services that the scope sees by their addresses, those of ServiceEntries by the allocated ones if they have none; headless services by the
 * pods that are ready (all of them with `publishNotReadyAddresses`), and such pods by their own names where they have any. What has no
 * address, as an ExternalName Service, is left to the resolvers. The same message for all scopes that see the same.
 */
export function nameTable(snapshot: Snapshot, scope: Scope): NameTable {
  const services = visibleServices(snapshot, scope);
  const parts = services
    .filter(({ headless }) => headless)
    .flatMap((service) => service.ports.map((port) => snapshot.endpoints(service, port)));
  return made.get(services, '', parts, () => {
    const table: Record<string, NameInfo> = {};
    for (const service of services) {
      const addresses = service.headless ? podsOf(snapshot, service, table) : addressesFor(service, scope);
      // Blocks of addresses are no answer to DNS.
      const ips = addresses.filter((address) => isIP(address) !== 0);
      if (ips.length > 0) table[service.host] = { ips, ...registered(service, service.name) };
    }
    return create(NameTableSchema, { table });
  });
}

const made = new Memo<NameTable>();

const registered = ({ native, namespace }: Service, shortname: string): NameInfo =>
  native ? { registry: 'Kubernetes', shortname, namespace } : { registry: 'External' };

/** Every pod's address once; `HOSTNAME.SERVICE.NAMESPACE.svc.DOMAIN` of those that have a host name goes into the table. */
function podsOf(snapshot: Snapshot, service: Service, table: Record<string, NameInfo>): string[] {
  const all = new Set<string>();
  const byName = new Map<string, Set<string>>();
  for (const port of service.ports)
    for (const { address, hostname } of snapshot.endpoints(service, port)) {
      all.add(address);
      if (hostname === '') continue;
      const own = byName.get(hostname) ?? new Set();
      byName.set(hostname, own.add(address));
    }
  for (const [hostname, addresses] of byName)
    table[`${hostname}.${service.host}`] = {
      ips: [...addresses].filter((address) => isIP(address) !== 0),
      ...registered(service, `${hostname}.${service.name}`),
    };
  return [...all];
}
