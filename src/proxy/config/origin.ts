import type { Metadata as MetadataMessage } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { Metadata } from './table.ts';

/** `virtual-service default/reviews`, and where in it (`spec.http[1]`) when our control plane says so, out of Istio's `istio.config` metadata; '' when there is none. */
export function originOf(metadata: MetadataMessage | undefined): string {
  const config = metadata?.filterMetadata.istio?.config;
  if (typeof config !== 'string') return '';
  const match = /\/namespaces\/([^/]+)\/([^/]+)\/([^/]+)$/.exec(config);
  const rule = metadata?.filterMetadata.istio?.rule;
  const where = typeof rule === 'string' ? ` ${rule}` : '';
  return match ? `${match[2]} ${match[1]}/${match[3]}${where}` : config;
}

/** Read into other fields of the table: nobody asks for them as metadata, and every cluster and endpoint of a mesh has them. */
const readElsewhere = new Set(['istio', 'envoy.transport_socket_match']);

/** The metadata that formats may ask for, by namespace; null when there is none. */
export function metadataOf(metadata: MetadataMessage | undefined): Metadata | null {
  const kept = Object.entries(metadata?.filterMetadata ?? {}).filter(([name]) => !readElsewhere.has(name));
  return kept.length === 0 ? null : (Object.fromEntries(kept) as Metadata);
}
