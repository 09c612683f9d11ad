/** A case: Istio resources as a user writes them, and requests with what Istio's documentation says becomes of them. */

export interface Request {
  /** `GET /path`. */
  readonly ask: string;
  /** With its port where the caller gives one: `reviews`, `reviews.shop:80`. */
  readonly host: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The name of the pod, such as `reviews-v2`; null when no backend may see it. */
  readonly backend: string | null;
  readonly status: number;
  /** Of the response; null for one that must not be there. */
  readonly answer?: Readonly<Record<string, string | null>>;
  readonly body?: string;
  /** What the backend sees: `:path`, `host` and further headers; null for one that must not be there. */
  readonly seen?: Readonly<Record<string, string | null>>;
  /** Of many such requests: how they are divided among pods, give or take a tenth; `backend` is null then. */
  readonly shares?: Readonly<Record<string, number>>;
  /** How long the answer takes at the least. */
  readonly atLeastMs?: number;
  /** A second backend that gets a copy. */
  readonly mirrored?: string;
}

export interface MeshCase {
  readonly name: string;
  /** The page that says so: below istio.io/latest/docs/, or a whole address. */
  readonly source: string;
  /** YAML; namespace `shop` where none is given. */
  readonly resources: string;
  /** What it is about is Envoy's alone: our proxy is not asked. */
  readonly onlyEnvoy?: boolean;
  /** Who asks: a workload of the mesh, or somebody outside who comes by the gateway. */
  readonly from?: 'sidecar' | 'gateway';
  /** Of the asking workload: `shop` unless told. */
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Where the asking workload is. */
  readonly locality?: { readonly region: string; readonly zone: string; readonly sub_zone: string };
  /** The port that is asked: 80 unless told. */
  readonly port?: number;
  readonly requests: readonly Request[];
}

const kinds = {
  vs: ['networking.istio.io/v1', 'VirtualService'],
  dr: ['networking.istio.io/v1', 'DestinationRule'],
  gw: ['networking.istio.io/v1', 'Gateway'],
  se: ['networking.istio.io/v1', 'ServiceEntry'],
  sidecar: ['networking.istio.io/v1', 'Sidecar'],
  entry: ['networking.istio.io/v1', 'WorkloadEntry'],
  envoyFilter: ['networking.istio.io/v1alpha3', 'EnvoyFilter'],
  wasmPlugin: ['extensions.istio.io/v1alpha1', 'WasmPlugin'],
  kubernetesGateway: ['gateway.networking.k8s.io/v1', 'Gateway'],
  httpRoute: ['gateway.networking.k8s.io/v1', 'HTTPRoute'],
  grpcRoute: ['gateway.networking.k8s.io/v1', 'GRPCRoute'],
  grant: ['gateway.networking.k8s.io/v1beta1', 'ReferenceGrant'],
} as const;

/** One resource: `vs('reviews', '{hosts: [reviews], …}')`, with the namespace in front where it is another: `other/reviews`. */
export const resource =
  (kind: keyof typeof kinds) =>
  (name: string, spec: string): string => {
    const [namespace, own] = name.includes('/') ? name.split('/') : ['shop', name];
    const [apiVersion, full] = kinds[kind];
    const made = '2026-01-01T00:00:00Z';
    return `---\napiVersion: ${apiVersion}\nkind: ${full}\nmetadata: {name: ${own}, namespace: ${namespace}, creationTimestamp: "${made}"}\nspec: ${spec}\n`;
  };

export const vs = resource('vs');
export const dr = resource('dr');
export const gw = resource('gw');
export const se = resource('se');
export const sidecar = resource('sidecar');
export const entry = resource('entry');
export const envoyFilter = resource('envoyFilter');
export const wasmPlugin = resource('wasmPlugin');
export const kubernetesGateway = resource('kubernetesGateway');
export const httpRoute = resource('httpRoute');
export const grpcRoute = resource('grpcRoute');
export const grant = resource('grant');

export const toReviews = (subset: string, more = ''): string =>
  `route: [{destination: {host: reviews, subset: ${subset}}}]${more === '' ? '' : `, ${more}`}`;

/** Three versions of reviews. */
export const versions = dr(
  'reviews',
  '{host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: v3, labels: {version: v3}}]}',
);

export const ask = (
  what: string,
  host: string,
  backend: string | null,
  more: Partial<Omit<Request, 'ask' | 'host' | 'backend'>> = {},
): Request => ({ ask: what, host, backend, status: 200, ...more });
