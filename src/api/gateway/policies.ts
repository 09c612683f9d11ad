/** ReferenceGrant and BackendTLSPolicy. https://gateway-api.sigs.k8s.io/reference/spec/#backendtlspolicy */
import type { Condition } from '../meta.ts';
import type { GatewayApiObject, ObjectReference, ParentReference } from './common.ts';

/** In its own namespace it lets objects of `from` refer to those of `to`. */
export type ReferenceGrant = GatewayApiObject<
  'ReferenceGrant',
  {
    from?: Array<{ group: string; kind: string; namespace: string }>;
    to?: Array<{ group: string; kind: string; name?: string }>;
  }
>;

export type BackendTlsPolicy = GatewayApiObject<
  'BackendTLSPolicy',
  {
    targetRefs: Array<{ group: string; kind: string; name: string; sectionName?: string }>;
    validation: {
      hostname: string;
      caCertificateRefs?: ObjectReference[];
      wellKnownCACertificates?: string;
      subjectAltNames?: Array<{ type: 'Hostname' | 'URI'; hostname?: string; uri?: string }>;
    };
  },
  { ancestors?: Array<{ ancestorRef: ParentReference; controllerName: string; conditions: Condition[] }> }
>;
