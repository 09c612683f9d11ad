/** WorkloadGroup (networking.istio.io): what WorkloadEntries that register themselves have in common. https://istio.io/latest/docs/reference/config/networking/workload-group/ */
import { columns } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { array, type Infer, int32, map, object, required, string } from '../schema/schema.ts';
import { checkedPort, type IstioStatus, networkingKind, text } from './common.ts';
import { checkWorkloadGroup } from './rules/workload-entry-rules.ts';
import { workloadTemplate } from './workload-entry.ts';

const seconds = int32({ minimum: 0 });

const probe = object(
  {
    exec: object({ command: required(array(string({ minLength: 1 }))) }),
    failureThreshold: seconds,
    grpc: object({ port: checkedPort(), service: text }),
    httpGet: object({
      host: text,
      httpHeaders: array(object({ name: string({ pattern: '^[-_A-Za-z0-9]+$' }), value: text })),
      path: text,
      port: required(checkedPort()),
      scheme: string({
        cel: [
          {
            rule: 'self in ["", "HTTP", "HTTPS"]',
            message: 'must be HTTP or HTTPS',
            holds: (scheme) => ['', 'HTTP', 'HTTPS'].includes(scheme),
          },
        ],
      }),
    }),
    initialDelaySeconds: seconds,
    periodSeconds: seconds,
    successThreshold: seconds,
    tcpSocket: object({ host: text, port: required(checkedPort()) }),
    timeoutSeconds: seconds,
  },
  { oneOf: [['httpGet', 'tcpSocket', 'exec', 'grpc']] },
);

const annotations = map(text, { maxProperties: 256 });

const spec = object({
  metadata: object({ annotations, labels: annotations }),
  probe,
  template: required(workloadTemplate),
});

export type WorkloadGroupSpec = Infer<typeof spec>;
export type WorkloadGroup = KubeObject<'WorkloadGroup', WorkloadGroupSpec, IstioStatus>;

export const workloadGroup = networkingKind({
  kind: 'WorkloadGroup',
  plural: 'workloadgroups',
  shortName: 'wg',
  columns: columns({}),
  specIsRequired: true,
  spec,
  rules: [checkWorkloadGroup],
});
