import { isIP } from 'node:net';
import type { Address, CidrRange as CidrRangeMessage } from '../../xds/gen/envoy/config/core/v3/address_pb.js';
import type { Field } from './field.ts';
import type { CidrRange } from './table.ts';

export function compileCidr(field: Field, range: CidrRangeMessage): CidrRange {
  const version = isIP(range.addressPrefix);
  const bits = range.prefixLen ?? 0;
  if (!version) field.at('address_prefix').fail(`${JSON.stringify(range.addressPrefix)} is no IP address`);
  else if (bits > (version === 4 ? 32 : 128))
    field.at('prefix_len').fail(`${bits} is too long for ${range.addressPrefix}`);
  return { address: range.addressPrefix, bits };
}

/** Host and port of a TCP address, or the path of a Unix socket as host; `names` allows a host name. */
export function compileAddress(
  field: Field,
  address: Address | undefined,
  names: 'ip' | 'name' = 'ip',
): { host: string; port: number } {
  const nowhere = { host: '', port: 0 };
  if (address?.address.case === 'pipe') {
    const { path, mode } = address.address.value;
    const at = field.at('pipe');
    if (!path.startsWith('/')) at.at('path').fail(`${JSON.stringify(path)} is not absolute`);
    if (mode !== 0) at.at('mode').fail('is not supported');
    return { host: path, port: 0 };
  }
  if (address?.address.case !== 'socketAddress') {
    field.fail(address?.address.case ? `${address.address.case} is not supported` : 'is missing');
    return nowhere;
  }
  const { protocol, address: host, portSpecifier } = address.address.value;
  const at = field.at('socket_address');
  if (protocol !== 0) at.at('protocol').fail('UDP is not supported');
  if (!host) at.at('address').fail('is empty');
  else if (names === 'ip' && !isIP(host)) at.at('address').fail(`${JSON.stringify(host)} is no IP address`);
  if (portSpecifier.case === 'namedPort') at.at('named_port').fail('is not supported');
  const port = portSpecifier.case === 'portValue' ? portSpecifier.value : 0;
  if (port > 65_535) at.at('port_value').fail(`${port} is no port`);
  return { host, port };
}
