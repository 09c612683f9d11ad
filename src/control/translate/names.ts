/** Istio's names of Envoy resources; tools and dashboards read them. */

export const passthroughCluster = 'PassthroughCluster';
export const blackHoleCluster = 'BlackHoleCluster';
export const inboundPassthroughCluster = 'InboundPassthroughCluster';
/** Where inbound traffic seems to come from, so that it is not intercepted again. */
export const inboundSourceAddress = '127.0.0.6';

export const outboundCluster = (port: number, subset: string, host: string) => `outbound|${port}|${subset}|${host}`;
export const inboundCluster = (port: number) => `inbound|${port}||`;
/** SNI that carries the destination through gateways. */
export const dnsSrvName = (port: number, subset: string, host: string) => `outbound_.${port}_.${subset}_.${host}`;

export const apiPath = (
  resource: { apiVersion: string; metadata: { namespace?: string; name?: string } },
  plural: string,
) => `/apis/${resource.apiVersion}/namespaces/${resource.metadata.namespace}/${plural}/${resource.metadata.name}`;
