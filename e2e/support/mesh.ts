/** What the tests of the mesh share: where its manifests are, a client inside, one outside, the gateway's page. */
import { join } from 'node:path';
import type { Forward } from '../cluster/cluster.ts';
import { cluster } from './cluster.ts';
import { type ApiObject, apply, get, remove } from './objects.ts';
import { type Place, type Pod, podsReady } from './pods.ts';
import { reference } from './reference.ts';
import { waitFor } from './wait.ts';

const top = join(import.meta.dirname, '../..');

export const deployFile = (path: string) => join(top, 'deploy', path);

/** One of the project's own samples. */
export const sample = (path: string) => join(top, 'samples', path);

/** Istio's own file where it is at hand, unmodified; else ours of the same meaning. */
export function bookinfo(theirs: string, ours: string): string {
  return reference(`istio/bookinfo/${theirs}`) ?? sample(`bookinfo/${ours}`);
}

export const manifests = {
  bookinfo: () => bookinfo('bookinfo.yaml', 'bookinfo.yaml'),
  gateway: () => bookinfo('networking/bookinfo-gateway.yaml', 'networking/gateway.yaml'),
  destinationRules: () => bookinfo('networking/destination-rule-all.yaml', 'networking/destination-rules.yaml'),
  reviews9010: () => bookinfo('networking/virtual-service-reviews-90-10.yaml', 'networking/reviews-90-10.yaml'),
  reviewsTestV2: () => bookinfo('networking/virtual-service-reviews-test-v2.yaml', 'networking/reviews-test-v2.yaml'),
  ratingsDelay: () => bookinfo('networking/virtual-service-ratings-test-delay.yaml', 'networking/ratings-delay.yaml'),
  ratingsAbort: () => bookinfo('networking/virtual-service-ratings-test-abort.yaml', 'networking/ratings-abort.yaml'),
} as const;

export interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
}

export interface Installation extends ApiObject {
  status?: {
    conditions?: Condition[];
    components?: Array<{ name: string; kind: string; status: string; message?: string }>;
    observedGeneration?: number;
  };
}

export async function readyCondition(name: string): Promise<Condition | undefined> {
  return (await get<Installation>('istioinstallation', name))?.status?.conditions?.find(({ type }) => type === 'Ready');
}

/** The one installation that the tests make. */
export async function installationName(): Promise<string> {
  return (await cluster.kubectl(['get', 'istioinstallations', '-o', 'jsonpath={.items[0].metadata.name}'])).trim();
}

/** A client pod of the mesh, with an identity of its own (`default/curl`). */
export async function meshClient(): Promise<Place> {
  await apply(sample('bookinfo/client.yaml'), { namespace: 'default' });
  const [pod] = await podsReady('default', 'app=curl');
  return { namespace: 'default', pod: pod.metadata.name, container: 'curl' };
}

/** A client pod outside of the mesh. */
export async function outsideClient(): Promise<Place> {
  const namespace = 'outside';
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await apply(sample('bookinfo/client.yaml'), { namespace });
  const [pod] = await podsReady(namespace, 'app=curl');
  return { namespace, pod: pod.metadata.name, container: 'curl' };
}

export interface Page {
  status: number;
  body: string;
  headers: Headers;
}

/** A way to the ingress gateway from the test's own process. */
export async function ingress(): Promise<{
  page(path: string, headers?: Record<string, string>): Promise<Page>;
  close(): Promise<void>;
}> {
  const forward: Forward = await waitFor(
    () => cluster.forward({ namespace: 'istio-system', service: 'istio-ingressgateway', port: 80 }),
    {
      what: 'a way to the ingress gateway',
    },
  );
  return {
    async page(path, headers = {}) {
      const answer = await fetch(`${forward.url}${path}`, {
        headers,
        redirect: 'manual',
        signal: AbortSignal.timeout(30_000),
      });
      return { status: answer.status, body: await answer.text(), headers: answer.headers };
    },
    close: () => forward.close(),
  };
}

export const removeFile = (path: string) => remove(path, { namespace: 'default' });

export const containerNames = (pod: Pod) =>
  [...(pod.spec.initContainers ?? []), ...pod.spec.containers].map(({ name }) => name);
