/** Why pods do not become ready, in a line. */
import type { Pod } from '../kube/object.ts';

/** `istiod-5d9f: ImagePullBackOff: Back-off pulling image …`, null when nothing stands out. */
export function podTrouble(pods: Pod[]): string | null {
  for (const { metadata, status } of pods) {
    const containers = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
    for (const { state, lastState, restartCount } of containers) {
      const waiting = state?.waiting;
      if (waiting?.reason && waiting.reason !== 'ContainerCreating' && waiting.reason !== 'PodInitializing')
        return `${metadata?.name}: ${waiting.reason}: ${waiting.message ?? ''}`.replace(/: $/, '');
      const ended = state?.terminated ?? lastState?.terminated;
      if (ended && restartCount > 0)
        return `${metadata?.name}: ended with ${ended.reason ?? 'an error'}, exit code ${ended.exitCode}`;
    }
    const unscheduled = status?.conditions?.find(({ type, status }) => type === 'PodScheduled' && status === 'False');
    if (unscheduled) return `${metadata?.name}: ${unscheduled.reason ?? 'Pending'}: ${unscheduled.message ?? ''}`;
  }
  return null;
}
