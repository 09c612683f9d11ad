import test from 'ava';
import type { IstioInstallationStatus } from '../api/installation/istio-installation.ts';
import { resolve } from '../api/installation/profiles.ts';
import type { ApiObject } from '../kube/object.ts';
import { render } from './render.ts';
import { type Observation, observe } from './status.ts';

const components = render('mesh', resolve({ profile: 'minimal' }));

/** The rendered objects as the API server and the control plane would complete them. */
function ready(object: ApiObject): ApiObject {
  const live = structuredClone(object) as ApiObject & {
    status?: object;
    webhooks?: Array<{ clientConfig: { caBundle?: string } }>;
  };
  if (object.kind === 'Deployment')
    live.status = { observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 };
  if (object.kind === 'CustomResourceDefinition')
    live.status = { conditions: [{ type: 'Established', status: 'True' }] };
  for (const hook of live.webhooks ?? []) hook.clientConfig.caBundle = 'Y2E=';
  live.metadata = { ...live.metadata, generation: 1 };
  return live;
}

const base: Observation = {
  generation: 1,
  revision: 'default',
  version: '0.1.0',
  components,
  live: ready,
  reconciliation: { outcome: 'applied' },
  troubles: new Map(),
  repaired: [],
  previous: undefined,
  nowIso: '2026-01-01T00:00:00Z',
};

const brief = ({ state, conditions }: IstioInstallationStatus) =>
  [state, ...(conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`)].join(', ');

test('all is ready', (t) => {
  t.is(
    brief(observe(base)),
    'Ready, Reconciled=True Applied, Ready=True AllComponentsReady, Degraded=False AsExpected',
  );
});

test('the first rollout is progress, a later loss is degradation', (t) => {
  const withDeployment = (status: object) => (object: ApiObject) =>
    object.kind === 'Deployment' ? ({ ...ready(object), status } as ApiObject) : ready(object);
  const gone = { observedGeneration: 1, replicas: 1, updatedReplicas: 1 };
  const first = observe({ ...base, live: withDeployment(gone) });
  t.is(brief(first), 'Progressing, Reconciled=True Applied, Ready=False ComponentNotReady, Degraded=False AsExpected');
  const later = observe({
    ...base,
    live: withDeployment(gone),
    previous: observe(base),
    nowIso: '2026-01-01T01:00:00Z',
  });
  t.is(
    brief(later),
    'Degraded, Reconciled=True Applied, Ready=False ComponentNotReady, Degraded=True ComponentNotReady',
  );
  t.is(later.conditions?.[0].lastTransitionTime, '2026-01-01T00:00:00Z');
  t.is(later.conditions?.[1].lastTransitionTime, '2026-01-01T01:00:00Z');
  const upgrading = observe({ ...base, generation: 2, live: withDeployment(gone), previous: observe(base) });
  t.is(upgrading.state, 'Progressing');
});

test('what keeps pods from running is said', (t) => {
  const live = (object: ApiObject) =>
    (object.kind === 'Deployment' ? { ...ready(object), status: {} } : ready(object)) as ApiObject;
  const status = observe({ ...base, live, troubles: new Map([['istiod', 'istiod-1: ErrImagePull']]) });
  t.regex(status.message ?? '', /istiod: .* \(istiod-1: ErrImagePull\)/);
});

test('a control plane whose webhooks are not signed is not ready: pods would be refused', (t) => {
  const live = (object: ApiObject) => (object.kind === 'MutatingWebhookConfiguration' ? object : ready(object));
  const status = observe({ ...base, live });
  t.regex(status.message ?? '', /no caBundle/);
  t.is(status.state, 'Progressing');
});

test('a refused change leaves Ready as it is; one that never was valid is not ready', (t) => {
  const refused = { outcome: 'invalid', message: 'spec.x is not a known field' } as const;
  t.is(
    brief(observe({ ...base, reconciliation: refused })),
    'Failed, Reconciled=False InvalidSpec, Ready=True AllComponentsReady, Degraded=False AsExpected',
  );
  t.is(
    brief(observe({ ...base, components: [], reconciliation: refused })),
    'Failed, Reconciled=False InvalidSpec, Ready=False InvalidSpec, Degraded=True InvalidSpec',
  );
});

test('nothing changes without a reason: the same observation gives the same status', (t) => {
  const once = observe(base);
  t.deepEqual(observe({ ...base, previous: once, nowIso: '2027-01-01T00:00:00Z' }), once);
});
