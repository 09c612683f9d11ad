/** A pod as plain JSON: the fields that injection reads or writes; every other field passes through untouched. */
import type { ObjectMeta } from '../api/meta.ts';

export interface EnvVar {
  name: string;
  value?: string;
  valueFrom?: object;
}

export interface ContainerPort {
  [field: string]: unknown;
  name?: string;
  containerPort: number;
  protocol?: string;
}

export interface HttpGet {
  [field: string]: unknown;
  path?: string;
  port: number | string;
  scheme?: string;
}

/** What a probe or a lifecycle hook does. */
export interface ProbeHandler {
  [field: string]: unknown;
  httpGet?: HttpGet;
  tcpSocket?: { [field: string]: unknown; port: number | string };
  grpc?: { [field: string]: unknown; port: number };
}

export interface Probe extends ProbeHandler {
  timeoutSeconds?: number;
}

export interface SecurityContext {
  [field: string]: unknown;
  runAsUser?: number;
  runAsGroup?: number;
}

export interface Container {
  [field: string]: unknown;
  name: string;
  image?: string;
  args?: string[];
  env?: EnvVar[];
  ports?: ContainerPort[];
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  startupProbe?: Probe;
  lifecycle?: { preStop?: ProbeHandler; postStart?: ProbeHandler };
  restartPolicy?: string;
  securityContext?: SecurityContext;
  volumeMounts?: Array<{ [field: string]: unknown; name: string; mountPath: string }>;
}

export interface Volume {
  [field: string]: unknown;
  name: string;
}

export interface PodSpec {
  [field: string]: unknown;
  containers: Container[];
  initContainers?: Container[];
  volumes?: Volume[];
  imagePullSecrets?: Array<{ name?: string }>;
  hostNetwork?: boolean;
}

export interface Pod {
  [field: string]: unknown;
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
  spec: PodSpec;
}

/** The pod's containers without the mesh's own, which a user may write out to change them. */
export function applications({ containers }: Pick<PodSpec, 'containers'>): Container[] {
  return containers.filter(({ name }) => name !== 'istio-proxy' && name !== 'istio-init');
}

/** Injection is refused; the message names the field or annotation. */
export class InjectionError extends Error {
  override name = 'InjectionError';
}

type Check = (value: unknown, path: string) => void;

const must = (path: string, what: string): never => {
  throw new InjectionError(`${path}: must be ${what}`);
};
const text: Check = (value, path) => typeof value === 'string' || must(path, 'text');
const number: Check = (value, path) => typeof value === 'number' || must(path, 'a number');
const flag: Check = (value, path) => typeof value === 'boolean' || must(path, 'true or false');
const port: Check = (value, path) =>
  typeof value === 'string' || typeof value === 'number' || must(path, 'a number or a name');
const texts: Check = (value, path) =>
  (isObject(value) && Object.values(value).every((item) => typeof item === 'string')) ||
  must(path, 'a mapping of text to text');

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Checks named fields; null counts as absent, `!` marks what must be there. */
function shape(fields: Record<string, Check>): Check {
  return (value, path) => {
    if (!isObject(value)) return must(path, 'a mapping');
    for (const [name, check] of Object.entries(fields)) {
      const key = name.replace('!', '');
      const field = value[key];
      if (field !== undefined && field !== null) check(field, `${path}.${key}`);
      else if (name.endsWith('!')) must(`${path}.${key}`, 'given');
    }
  };
}

function list(item: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value)) return must(path, 'a list');
    for (const [index, entry] of value.entries()) item(entry, `${path}[${index}]`);
  };
}

const handler = {
  httpGet: shape({ path: text, 'port!': port, scheme: text }),
  tcpSocket: shape({ 'port!': port }),
  grpc: shape({ 'port!': number }),
};
const probe = shape({ ...handler, timeoutSeconds: number });
const container = shape({
  'name!': text,
  image: text,
  args: list(text),
  env: list(shape({ 'name!': text, value: text, valueFrom: shape({}) })),
  ports: list(shape({ name: text, 'containerPort!': number, protocol: text })),
  livenessProbe: probe,
  readinessProbe: probe,
  startupProbe: probe,
  lifecycle: shape({ preStop: shape(handler), postStart: shape(handler) }),
  restartPolicy: text,
  securityContext: shape({ runAsUser: number, runAsGroup: number }),
  volumeMounts: list(shape({ 'name!': text, 'mountPath!': text })),
});
const pod = shape({
  metadata: shape({
    name: text,
    namespace: text,
    generateName: text,
    labels: texts,
    annotations: texts,
    ownerReferences: list(shape({ 'apiVersion!': text, 'kind!': text, 'name!': text, controller: flag })),
  }),
  'spec!': shape({
    containers: list(container),
    initContainers: list(container),
    volumes: list(shape({ 'name!': text })),
    imagePullSecrets: list(shape({ name: text })),
    hostNetwork: flag,
  }),
});

/** Takes parsed JSON for a pod; throws `InjectionError` that names the first field of a wrong type. Nulls are dropped, as the API server does. */
export function readPod(value: unknown, where = 'pod'): Pod {
  pod(value, where);
  const read = withoutNulls(value) as unknown as Pod;
  read.spec.containers ??= [];
  return read;
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== null && field !== undefined)
      .map(([key, field]) => [key, withoutNulls(field)]),
  );
}
