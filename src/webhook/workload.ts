/** Which workload a pod belongs to, told from the pod alone (Istio: pkg/kube `GetDeployMetaFromPod`). */
import type { ObjectMeta } from '../api/meta.ts';

export interface Workload {
  apiVersion: string;
  kind: string;
  name: string;
}

export function workloadOf(metadata: ObjectMeta): Workload {
  const itself: Workload = { apiVersion: 'v1', kind: 'Pod', name: metadata.name ?? '' };
  if (!metadata.generateName) return itself;
  const owner = metadata.ownerReferences?.find((reference) => reference.controller === true);
  if (!owner) return itself;
  const { apiVersion, kind, name } = owner;
  const labels = metadata.labels ?? {};

  if (kind === 'ReplicaSet') {
    const hash = labels['pod-template-hash'];
    if (hash && name.endsWith(`-${hash}`))
      return { apiVersion, kind: 'Deployment', name: name.slice(0, -hash.length - 1) };
    const rollout = labels['rollouts-pod-template-hash'];
    if (rollout && name.endsWith(`-${rollout}`))
      return { apiVersion: 'v1alpha1', kind: 'Rollout', name: name.slice(0, -rollout.length - 1) };
  }
  if (kind === 'ReplicationController' && labels.deploymentconfig)
    return { apiVersion, kind: 'DeploymentConfig', name: labels.deploymentconfig };
  if (kind === 'Job') {
    // A CronJob names its Jobs by the minute that they were scheduled for.
    const cron = /^(.+)-\d{8,10}$/.exec(name);
    if (cron) return { apiVersion: 'batch/v1', kind: 'CronJob', name: cron[1] };
  }
  return { apiVersion, kind, name };
}
