/** What an analysis says, in istioctl's words and codes (istio.io/latest/docs/reference/config/analysis), ours beginning with LAT. */
import type { ObjectMeta } from '../../api/meta.ts';

export type Level = 'Error' | 'Warning' | 'Info';

interface Message {
  readonly name: string;
  readonly level: Level;
}

/** By code. */
export const messages = {
  IST0002: { name: 'Deprecated', level: 'Warning' },
  IST0101: { name: 'ReferencedResourceNotFound', level: 'Error' },
  IST0102: { name: 'NamespaceNotInjected', level: 'Info' },
  IST0103: { name: 'PodMissingProxy', level: 'Warning' },
  IST0106: { name: 'SchemaValidationError', level: 'Error' },
  IST0107: { name: 'MisplacedAnnotation', level: 'Warning' },
  IST0108: { name: 'UnknownAnnotation', level: 'Warning' },
  IST0109: { name: 'ConflictingMeshGatewayVirtualServiceHosts', level: 'Error' },
  IST0110: { name: 'ConflictingSidecarWorkloadSelectors', level: 'Error' },
  IST0111: { name: 'MultipleSidecarsWithoutWorkloadSelectors', level: 'Error' },
  IST0112: { name: 'VirtualServiceDestinationPortSelectorRequired', level: 'Error' },
  IST0116: { name: 'DeploymentAssociatedToMultipleServices', level: 'Warning' },
  IST0118: { name: 'PortNameIsNotUnderNamingConvention', level: 'Info' },
  IST0119: { name: 'JwtFailureDueToInvalidServicePortPrefix', level: 'Warning' },
  IST0123: { name: 'NamespaceMultipleInjectionLabels', level: 'Warning' },
  IST0127: { name: 'NoMatchingWorkloadsFound', level: 'Warning' },
  IST0128: { name: 'NoServerCertificateVerificationDestinationLevel', level: 'Warning' },
  IST0129: { name: 'NoServerCertificateVerificationPortLevel', level: 'Warning' },
  IST0130: { name: 'VirtualServiceUnreachableRule', level: 'Warning' },
  IST0131: { name: 'VirtualServiceIneffectiveMatch', level: 'Info' },
  IST0132: { name: 'VirtualServiceHostNotFoundInGateway', level: 'Warning' },
  IST0133: { name: 'SchemaWarning', level: 'Warning' },
  IST0134: { name: 'ServiceEntryAddressesRequired', level: 'Warning' },
  IST0137: { name: 'DeploymentConflictingPorts', level: 'Warning' },
  IST0138: { name: 'GatewayDuplicateCertificate', level: 'Warning' },
  IST0140: { name: 'IngressRouteRulesNotAffected', level: 'Warning' },
  IST0144: { name: 'InvalidApplicationUID', level: 'Warning' },
  IST0145: { name: 'ConflictingGateways', level: 'Error' },
  IST0149: { name: 'JwtClaimBasedRoutingWithoutRequestAuthN', level: 'Error' },
  IST0150: { name: 'ExternalNameServiceTypeInvalidPortName', level: 'Warning' },
  IST0151: { name: 'EnvoyFilterUsesRelativeOperation', level: 'Warning' },
  IST0152: { name: 'EnvoyFilterUsesReplaceOperationIncorrectly', level: 'Error' },
  IST0153: { name: 'EnvoyFilterUsesAddOperationIncorrectly', level: 'Error' },
  IST0154: { name: 'EnvoyFilterUsesRemoveOperationIncorrectly', level: 'Error' },
  IST0155: { name: 'EnvoyFilterUsesRelativeOperationWithProxyVersion', level: 'Warning' },
  IST0157: { name: 'InvalidTelemetryProvider', level: 'Warning' },
  IST0159: { name: 'ConflictingTelemetryWorkloadSelectors', level: 'Error' },
  IST0160: { name: 'MultipleTelemetriesWithoutWorkloadSelectors', level: 'Error' },
  IST0161: { name: 'InvalidGatewayCredential', level: 'Error' },
  IST0162: { name: 'GatewayPortNotDefinedOnService', level: 'Warning' },
  LAT0001: { name: 'VirtualServiceShadowed', level: 'Warning' },
  LAT0002: { name: 'DestinationRuleNotUsed', level: 'Warning' },
  LAT0003: { name: 'RulesForAnotherProtocol', level: 'Warning' },
  LAT0004: { name: 'NoEffectOnThisProxy', level: 'Warning' },
} as const satisfies Record<string, Message>;

export type Code = keyof typeof messages;

export interface Analyzed {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

export interface Finding {
  readonly code: Code;
  readonly resource: Analyzed;
  /** `spec.http[2].route[0].destination.host`; '' for the whole. */
  readonly path: string;
  readonly message: string;
}

/** Takes what an analyzer finds. */
export type Tell = (code: Code, resource: Analyzed, path: string, message: string) => void;

/** `NAMESPACE/NAME`. */
export const nameOf = ({ metadata: { namespace = '', name = '' } }: Analyzed): string =>
  namespace === '' ? name : `${namespace}/${name}`;

/** Istio's page on a code; none of ours has one. */
export const documentationUrl = (code: Code): string =>
  code.startsWith('IST') ? `https://istio.io/latest/docs/reference/config/analysis/${code.toLowerCase()}/` : '';
