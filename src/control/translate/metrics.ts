import { clone } from '@bufbuild/protobuf';
import { type Listener, ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import type { Finding } from '../model/access-logging.ts';
import { metricRulesOf } from '../model/metric-rules.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { Memo } from './memo.ts';
import type { Problems } from './problem.ts';
import type { Scope } from './scope.ts';

/** Under this name in a listener's metadata: which of Istio's metrics our proxy tells, and how. Envoy by itself has none of them. */
const metadataName = 'lateen.metrics';
const memo = new Memo<Listener>();

/** The listeners themselves when no Telemetry changes anything. */
export function withMetricRules(
  snapshot: Snapshot,
  { namespace, labels }: Scope,
  listeners: Listener[],
  problems: Problems,
): Listener[] {
  const found: Finding[] = [];
  const rules = metricRulesOf(snapshot.telemetries, snapshot.mesh.rootNamespace, namespace, labels, found);
  for (const { telemetry, path, message } of found) problems.add(telemetry, path, message);
  if (rules === null) return listeners;
  const told = JSON.stringify(rules);
  return listeners.map((listener) =>
    memo.get(listener, told, [], () => {
      const own = clone(ListenerSchema, listener);
      const { filterMetadata = {}, typedFilterMetadata = {} } = own.metadata ?? {};
      own.metadata = {
        $typeName: 'envoy.config.core.v3.Metadata',
        filterMetadata: { ...filterMetadata, [metadataName]: JSON.parse(told) },
        typedFilterMetadata,
      };
      return own;
    }),
  );
}
