/** Starts the pod's DNS server as its environment says, beside what /etc/resolv.conf names. */
import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { parseResolvConf } from '../../lib/resolv-conf.ts';
import { type DnsServer, startDnsServer } from '../dns/server.ts';
import type { DnsSettings } from './environment.ts';

const dnsPort = 53;

/** Rejects, naming what is wrong, when the file cannot be read or the address not be bound: the pod's questions would be lost. */
export async function answerDns({ at, namespace, domain, resolvConfPath }: DnsSettings): Promise<DnsServer> {
  const { nameservers, search } = parseResolvConf(
    await readFile(resolvConfPath, 'utf8').catch((error: Error) => {
      throw new Error(`DNS: ${resolvConfPath} cannot be read: ${error.message}`);
    }),
  );
  const families = new Set(nameservers.map((server) => (isIPv6(server) ? '::1' : '127.0.0.1')));
  const hosts = at.host !== 'localhost' ? [at.host] : families.size > 0 ? [...families] : ['127.0.0.1'];
  return await startDnsServer({
    hosts,
    port: at.port,
    place: { namespace, domain, search },
    resolvers: nameservers.map((host) => ({ host, port: dnsPort })),
  });
}
