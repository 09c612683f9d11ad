/** A service port's protocol (Istio, "Protocol Selection"): `appProtocol` over the port's name; `auto` is detected on the wire. */
export type Protocol = 'http' | 'http2' | 'grpc' | 'https' | 'tls' | 'tcp' | 'udp' | 'auto';

const byName: Readonly<Record<string, Protocol>> = {
  http: 'http',
  http2: 'http2',
  grpc: 'grpc',
  'grpc-web': 'grpc',
  https: 'https',
  tls: 'tls',
  tcp: 'tcp',
  mongo: 'tcp',
  mysql: 'tcp',
  redis: 'tcp',
  udp: 'udp',
};

const byAppProtocol: Readonly<Record<string, Protocol>> = {
  ...byName,
  'kubernetes.io/h2c': 'http2',
  'kubernetes.io/ws': 'http',
  'kubernetes.io/wss': 'https',
};

/** Well-known ports whose server speaks first: detection would wait for ever, so they are opaque unless declared. */
const serverFirst = new Set([25, 587, 3306, 27017]);

export function protocolOf(port: { name?: string; port: number; protocol?: string; appProtocol?: string }): Protocol {
  if (port.protocol === 'UDP') return 'udp';
  if (port.protocol === 'SCTP') return 'tcp';
  const declared = port.appProtocol?.toLowerCase();
  if (declared !== undefined) return byAppProtocol[declared] ?? 'auto';
  const name = port.name?.toLowerCase() ?? '';
  if (name === 'grpc-web' || name.startsWith('grpc-web-')) return 'grpc';
  const named = byName[name.split('-')[0]];
  if (named) return named;
  return serverFirst.has(port.port) ? 'tcp' : 'auto';
}

/** The protocol of a ServiceEntry's or a Gateway's port, where an unknown word means TCP. */
export function protocolNamed(name: string): Protocol {
  return byName[name.toLowerCase()] ?? 'tcp';
}

export const isHttp = (protocol: Protocol): boolean =>
  protocol === 'http' || protocol === 'http2' || protocol === 'grpc';
