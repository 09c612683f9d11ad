/** Autoscaler and disruption budget of a Deployment. */
import type { KubernetesSettings } from '../../api/installation/istio-installation.ts';
import type { ApiObject, HorizontalPodAutoscaler, PodDisruptionBudget } from '../../kube/object.ts';

export interface Scaled {
  name: string;
  namespace: string;
  labels: { [key: string]: string };
  selector: { [key: string]: string };
}

/** Those of the two that the settings ask for. */
export function scaling({ name, namespace, labels, selector }: Scaled, k8s: KubernetesSettings): ApiObject[] {
  const objects: ApiObject[] = [];
  if (k8s.hpa) {
    const autoscaler: HorizontalPodAutoscaler = {
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: { name, namespace, labels },
      spec: {
        minReplicas: k8s.hpa.minReplicas ?? 1,
        maxReplicas: k8s.hpa.maxReplicas,
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
        metrics: [
          {
            type: 'Resource',
            resource: {
              name: 'cpu',
              target: { type: 'Utilization', averageUtilization: k8s.hpa.targetCpuUtilizationPercent ?? 80 },
            },
          },
        ],
      },
    };
    objects.push(autoscaler);
  }
  if (k8s.podDisruptionBudget) {
    const budget: PodDisruptionBudget = {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name, namespace, labels },
      spec: { ...k8s.podDisruptionBudget, selector: { matchLabels: selector } },
    };
    objects.push(budget);
  }
  return objects;
}

/** With an autoscaler the number of replicas is its field, not ours. */
export function replicas(k8s: KubernetesSettings): number | undefined {
  return k8s.hpa ? undefined : (k8s.replicas ?? 1);
}
