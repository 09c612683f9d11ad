/** Shapes that several of Istio's kinds share. */
import type { Kind, PrinterColumn } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import {
  array,
  boolean,
  type CelRule,
  double,
  enumOf,
  type Infer,
  intOrString,
  map,
  nullable,
  object,
  type Rule,
  required,
  type Schema,
  string,
  uint32,
} from '../schema/schema.ts';

/** A TCP port: 1–65535. */
export const isPort: Rule<number> = (port, report) => {
  if (port < 1 || port > 65_535) report.error([], `must be 1–65535, is ${port}`, 'range');
};

const portCel = {
  rule: '0 < self && self <= 65535',
  message: 'must be 1–65535',
  holds: (port: number) => 0 < port && port <= 65_535,
};

/** A port that the API server takes as any `uint32` and that we hold to 1–65535. */
export const port = () => uint32({ rules: [isPort] });
/** The same where 0 stands for "not set", as protobuf has it. */
export const optionalPort = () =>
  uint32({
    rules: [
      (port, report) => {
        if (port !== 0) isPort(port, report);
      },
    ],
  });
/** A port whose range the API server checks itself. */
export const checkedPort = () => uint32({ cel: [portCel] });

export const text = string();
export const texts = array(text);
export const labelMap = map(text);
export const flag = boolean();
export const optionalFlag = nullable(flag);

export const percent = object({
  value: double({
    rules: [
      (value, report) => {
        if (value < 0 || value > 100) report.error([], `must be 0–100, is ${value}`, 'range');
      },
    ],
  }),
});

export const portSelector = object({ number: port() });

export const stringMatch = object(
  { exact: text, prefix: text, regex: text },
  { oneOf: [['exact', 'prefix', 'regex']] },
);
export type StringMatch = Infer<typeof stringMatch>;

/** Istio's `WorkloadSelector` of the security and DestinationRule APIs: every label given must match. */
export const workloadSelector = object({
  matchLabels: map(
    string({
      maxLength: 63,
      cel: [
        {
          rule: '!self.contains("*")',
          message: 'must not have a wildcard',
          holds: (value) => !value.includes('*'),
        },
      ],
    }),
    {
      maxProperties: 4096,
      cel: [
        {
          rule: 'self.all(key, !key.contains("*"))',
          message: 'must have keys without a wildcard',
          holds: (labels) => Object.keys(labels).every((key) => !key.includes('*')),
        },
        {
          rule: 'self.all(key, key.size() != 0)',
          message: 'must have keys that are not empty',
          holds: (labels) => !Object.hasOwn(labels, ''),
        },
      ],
    },
  ),
});
export type WorkloadSelector = Infer<typeof workloadSelector>;

/** Istio's `WorkloadSelector` of the networking API. */
export const labelsSelector = object({
  labels: map(
    string({
      maxLength: 63,
      cel: [
        {
          rule: '!self.contains("*")',
          message: 'must not have a wildcard',
          holds: (value) => !value.includes('*'),
        },
      ],
    }),
    { maxProperties: 256 },
  ),
});
export type LabelsSelector = Infer<typeof labelsSelector>;

export const policyTargetReference = object({
  group: string({ maxLength: 253, pattern: '^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$' }),
  kind: required(string({ minLength: 1, maxLength: 63, pattern: '^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$' })),
  name: required(string({ minLength: 1, maxLength: 253 })),
  namespace: string({
    cel: [
      {
        rule: 'self.size() == 0',
        message: 'must not be set: a policy targets its own namespace',
        holds: (name) => name === '',
      },
    ],
  }),
});
export type PolicyTargetReference = Infer<typeof policyTargetReference>;

interface Targets {
  selector?: unknown;
  targetRef?: unknown;
  targetRefs?: unknown;
}

export const oneTarget: CelRule<Targets> = {
  rule: '(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1',
  message: 'at most one of selector, targetRef and targetRefs can be set',
  holds: ({ selector, targetRef, targetRefs }) =>
    [selector, targetRef, targetRefs].filter((field) => field !== undefined).length <= 1,
};

/** `IstioStatus`: conditions and validation messages that the control plane writes. */
export const istioStatus = object(
  {
    conditions: array(
      object({
        lastProbeTime: string({ format: 'date-time' }),
        lastTransitionTime: string({ format: 'date-time' }),
        message: text,
        observedGeneration: intOrString(),
        reason: text,
        status: text,
        type: text,
      }),
    ),
    observedGeneration: intOrString(),
    validationMessages: array(
      object({
        documentationUrl: text,
        level: enumOf(['UNKNOWN', 'ERROR', 'WARNING', 'INFO']),
        type: object({ code: text, name: text }),
      }),
    ),
  },
  { unlisted: 'keep' },
);
export type IstioStatus = Infer<typeof istioStatus>;

interface IstioKind<Spec> {
  kind: string;
  plural: string;
  shortName?: string;
  /** Served ones, in order; those of most kinds of the group unless told. */
  versions?: readonly string[];
  columns: readonly PrinterColumn[];
  specIsRequired?: boolean;
  spec: Schema<Spec>;
  rules?: ReadonlyArray<Rule<KubeObject<string, Spec, IstioStatus>>>;
}

/** A kind of `networking.istio.io`, with the names, versions and labels of Istio's own definition. */
export function networkingKind<Spec>(kind: IstioKind<Spec>): Kind<Spec, IstioStatus> {
  return istioKind(kind, 'networking', ['v1', 'v1alpha3', 'v1beta1'], 0, {});
}

/** A kind of `security.istio.io`. */
export function securityKind<Spec>(kind: IstioKind<Spec>): Kind<Spec, IstioStatus> {
  return istioKind(kind, 'security', ['v1', 'v1beta1'], 0, { istio: 'security' });
}

/** A kind of `extensions.istio.io`. */
export function extensionsKind<Spec>(kind: IstioKind<Spec>): Kind<Spec, IstioStatus> {
  return istioKind(kind, 'extensions', ['v1alpha1'], 0, {});
}

/** A kind of `telemetry.istio.io`, which is stored in its older version. */
export function telemetryKind<Spec>(kind: IstioKind<Spec>): Kind<Spec, IstioStatus> {
  return istioKind(kind, 'telemetry', ['v1', 'v1alpha1'], 1, { istio: 'telemetry' });
}

function istioKind<Spec>(
  { shortName, ...kind }: IstioKind<Spec>,
  area: string,
  versions: readonly string[],
  stored: number,
  labels: Record<string, string>,
): Kind<Spec, IstioStatus> {
  return {
    rules: [],
    specIsRequired: false,
    ...kind,
    group: `${area}.istio.io`,
    versions: kind.versions ?? versions,
    stored,
    shortNames: shortName === undefined ? [] : [shortName],
    categories: ['istio-io', `${area}-istio-io`],
    scope: 'Namespaced',
    labels: { app: 'istio-pilot', chart: 'istio', heritage: 'Tiller', ...labels, release: 'istio' },
    annotations: { 'helm.sh/resource-policy': 'keep' },
    status: istioStatus,
  };
}
