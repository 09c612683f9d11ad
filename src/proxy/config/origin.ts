import type { Metadata } from '../../xds/gen/envoy/config/core/v3/base_pb.js';

/** `virtual-service default/reviews` out of Istio's `istio.config` metadata; '' when there is none. */
export function originOf(metadata: Metadata | undefined): string {
  const config = metadata?.filterMetadata.istio?.config;
  if (typeof config !== 'string') return '';
  const match = /\/namespaces\/([^/]+)\/([^/]+)\/([^/]+)$/.exec(config);
  return match ? `${match[2]} ${match[1]}/${match[3]}` : config;
}
