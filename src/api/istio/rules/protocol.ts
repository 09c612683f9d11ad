/** Protocol names of ports, as Istio reads them: any case. */

const http = ['http', 'http2', 'http_proxy', 'grpc', 'grpc-web'];
const tls = ['https', 'tls'];
const others = ['tcp', 'udp', 'mongo', 'redis', 'mysql'];

export const isHttpProtocol = (name: string): boolean => http.includes(name.toLowerCase());
export const isTlsProtocol = (name: string): boolean => tls.includes(name.toLowerCase());
export const isKnownProtocol = (name: string): boolean =>
  isHttpProtocol(name) || isTlsProtocol(name) || others.includes(name.toLowerCase());
