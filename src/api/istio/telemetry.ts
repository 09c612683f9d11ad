/** Telemetry (telemetry.istio.io): access logs, metrics and traces of workloads. https://istio.io/latest/docs/reference/config/telemetry/ */
import { columns } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { duration } from '../schema/duration.ts';
import { array, double, enumOf, type Infer, map, nullable, object, required, string } from '../schema/schema.ts';
import {
  type IstioStatus,
  oneTarget,
  optionalFlag,
  policyTargetReference,
  telemetryKind,
  text,
  workloadSelector,
} from './common.ts';
import { checkTelemetry } from './rules/telemetry-rules.ts';

const filled = string({ minLength: 1 });
const mode = enumOf(['CLIENT_AND_SERVER', 'CLIENT', 'SERVER']);
const providers = array(object({ name: required(filled) }));

const accessLogging = object({
  disabled: optionalFlag,
  filter: object({ expression: text }),
  match: object({ mode }),
  providers,
});

const metricNames = [
  'ALL_METRICS',
  'REQUEST_COUNT',
  'REQUEST_DURATION',
  'REQUEST_SIZE',
  'RESPONSE_SIZE',
  'TCP_OPENED_CONNECTIONS',
  'TCP_CLOSED_CONNECTIONS',
  'TCP_SENT_BYTES',
  'TCP_RECEIVED_BYTES',
  'GRPC_REQUEST_MESSAGES',
  'GRPC_RESPONSE_MESSAGES',
] as const;

const tagOverride = object(
  { operation: enumOf(['UPSERT', 'REMOVE']), value: text },
  {
    cel: [
      {
        rule: '((has(self.operation) ? self.operation : "") == "UPSERT") ? (self.value != "") : true',
        message: 'needs a value for operation UPSERT',
        holds: ({ operation, value }) => operation !== 'UPSERT' || (value ?? '') !== '',
      },
      {
        rule: '((has(self.operation) ? self.operation : "") == "REMOVE") ? !has(self.value) : true',
        message: 'has no value for operation REMOVE',
        holds: ({ operation, value }) => operation !== 'REMOVE' || value === undefined,
      },
    ],
  },
);

const metrics = object({
  overrides: array(
    object({
      disabled: optionalFlag,
      match: object(
        { customMetric: filled, metric: enumOf(metricNames), mode },
        { oneOf: [['metric', 'customMetric']] },
      ),
      tagOverrides: map(tagOverride),
    }),
  ),
  providers,
  reportingInterval: duration(),
});

const named = object({ defaultValue: text, name: required(filled) });
const valued = object({ value: required(filled) });

const tracing = object({
  customTags: map(
    object(
      { environment: named, formatter: valued, header: named, literal: valued },
      { oneOf: [['literal', 'environment', 'header', 'formatter']] },
    ),
  ),
  disableContextPropagation: optionalFlag,
  disableSpanReporting: optionalFlag,
  enableIstioTags: optionalFlag,
  match: object({ mode }),
  providers,
  randomSamplingPercentage: nullable(double({ minimum: 0, maximum: 100 })),
  useRequestIdForTraceSampling: optionalFlag,
});

const spec = object(
  {
    accessLogging: array(accessLogging),
    metrics: array(metrics),
    selector: workloadSelector,
    targetRef: policyTargetReference,
    targetRefs: array(policyTargetReference, { maxItems: 16 }),
    tracing: array(tracing),
  },
  { cel: [oneTarget] },
);

export type TelemetryAccessLogging = Infer<typeof accessLogging>;
export type TelemetryMetrics = Infer<typeof metrics>;
export type TelemetrySpec = Infer<typeof spec>;
export type Telemetry = KubeObject<'Telemetry', TelemetrySpec, IstioStatus>;

export const telemetry = telemetryKind({
  kind: 'Telemetry',
  plural: 'telemetries',
  shortName: 'telemetry',
  columns: columns({}),
  spec,
  rules: [checkTelemetry],
});
