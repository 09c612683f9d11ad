import type { UpstreamConnectionOptions } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { UpstreamConnectionOptionsSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { BindConfig } from '../../xds/gen/envoy/config/core/v3/address_pb.js';
import { BindConfigSchema, ExtraSourceAddressSchema } from '../../xds/gen/envoy/config/core/v3/address_pb.js';
import { type Field, words } from './field.ts';
import type { Cluster } from './table.ts';

/** Addresses to connect from: the first of the destination's family counts (Envoy: upstream_bind_config). */
export function compileBindHosts(field: Field, config: BindConfig | undefined): readonly string[] {
  if (!config) return [];
  field.only(BindConfigSchema, config, words('source_address extra_source_addresses'));
  const given = [
    { at: field.at('source_address'), address: config.sourceAddress },
    ...config.extraSourceAddresses.map((extra, i) => {
      const at = field.at('extra_source_addresses', i);
      at.only(ExtraSourceAddressSchema, extra, words('address'));
      return { at: at.at('address'), address: extra.address };
    }),
  ];
  return given.flatMap(({ at, address }) => {
    if (!address?.address) return [];
    if (address.portSpecifier.case === 'portValue' && address.portSpecifier.value !== 0)
      at.at('port_value').fail('a port of one’s own is for one connection alone: give 0');
    return [address.address];
  });
}

/**
 * Of TCP's keepalive, Node lets a program set the time of silence before the first probe; number and interval of probes are
 * the system's (net.ipv4.tcp_keepalive_probes, tcp_keepalive_intvl).
 */
export function compileKeepalive(field: Field, options: UpstreamConnectionOptions | undefined): Cluster['keepalive'] {
  if (!options) return null;
  field.only(UpstreamConnectionOptionsSchema, options, words('tcp_keepalive'));
  return options.tcpKeepalive ? { idleSeconds: options.tcpKeepalive.keepaliveTime ?? 7200 } : null;
}
