/** Answers the mutating webhook: a pod on its way in. */
import type { InjectionConfig } from './config.ts';
import type { WebhookCounters } from './counters.ts';
import { decide } from './decide.ts';
import { inject } from './inject.ts';
import type { WebhookLog } from './log.ts';
import { patchOf } from './patch.ts';
import { InjectionError, readPod } from './pod.ts';
import type { AdmissionRequest, AdmissionResponse } from './review.ts';

/** What injection goes by for a pod of a namespace with these labels. */
export type ConfigFor = (namespace: string, labels: Readonly<Record<string, string>>) => InjectionConfig;

/** Never throws; an injection that fails refuses the pod, since one without its proxy would be out of the mesh unnoticed. */
export function reviewInjection(
  request: AdmissionRequest,
  environment: Readonly<Record<string, string>>,
  config: ConfigFor,
  counters: WebhookCounters,
  log: WebhookLog,
): AdmissionResponse {
  const { uid, namespace } = request;
  counters.count('sidecar_injection_requests_total');
  try {
    const pod = readPod(request.object);
    const name = pod.metadata?.name ?? `${pod.metadata?.generateName ?? ''}?`;
    const settings = config(pod.metadata?.namespace ?? namespace, pod.metadata?.labels ?? {});
    // The API server asks only where the namespace selectors of the webhook say so; asking again would break revision tags.
    const decision = decide(
      {
        metadata: pod.metadata ?? {},
        hostNetwork: pod.spec.hostNetwork === true,
        namespace: pod.metadata?.namespace ?? namespace,
        namespaceLabels: null,
      },
      settings,
    );
    if (!decision.inject) {
      counters.count('sidecar_injection_skip_total', { reason: decision.reason });
      log.info({ pod: `${namespace}/${name}`, reason: decision.reason }, `not injected: ${decision.explanation}`);
      return { uid, allowed: true };
    }
    const injected = inject({ pod, namespace: pod.metadata?.namespace ?? namespace, environment }, settings);
    const patch = Buffer.from(JSON.stringify(patchOf(pod, injected))).toString('base64');
    counters.count('sidecar_injection_success_total');
    log.info({ pod: `${namespace}/${name}`, reason: decision.reason }, 'injected');
    return { uid, allowed: true, patchType: 'JSONPatch', patch };
  } catch (error) {
    const known = error instanceof InjectionError;
    const message = known ? error.message : `the injector failed: ${(error as Error).message}`;
    counters.count('sidecar_injection_failure_total', { reason: known ? 'badPod' : 'internal' });
    log.error({ namespace, error: known ? message : String((error as Error).stack) }, 'injection failed');
    return { uid, allowed: false, status: { code: known ? 400 : 500, message } };
  }
}
