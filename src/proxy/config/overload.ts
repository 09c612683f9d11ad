import type { OverloadManager, Trigger } from '../../xds/gen/envoy/config/overload/v3/overload_pb.js';
import { OverloadManagerSchema } from '../../xds/gen/envoy/config/overload/v3/overload_pb.js';
import { DownstreamConnectionsConfigSchema } from '../../xds/gen/envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections_pb.js';
import { FixedHeapConfigSchema } from '../../xds/gen/envoy/extensions/resource_monitors/fixed_heap/v3/fixed_heap_pb.js';
import { dispatch, durationMs, type Field, unpack, words } from './field.ts';
import type { Overload, OverloadAction, OverloadRule } from './table.ts';

const known = words('refresh_interval resource_monitors actions');
const heap = 'envoy.resource_monitors.fixed_heap';
const connections = 'envoy.resource_monitors.global_downstream_max_connections';
/** To stop accepting would leave connections in the kernel's queue; here they are refused at once, and counted. */
const actions: Readonly<Record<string, OverloadAction>> = {
  'envoy.overload_actions.stop_accepting_requests': 'stopRequests',
  'envoy.overload_actions.stop_accepting_connections': 'rejectConnections',
  'envoy.overload_actions.reject_incoming_connections': 'rejectConnections',
  'envoy.overload_actions.disable_http_keepalive': 'closeKeepAlive',
};

/** Envoy's overload manager; null when the file has none. */
export function compileOverload(field: Field, message: OverloadManager | undefined): Overload | null {
  if (!message) return null;
  field.only(OverloadManagerSchema, message, known);
  let maxHeapBytes: number | null = null;
  let maxConnections: number | null = null;
  for (const [i, { name, configType }] of message.resourceMonitors.entries()) {
    const at = field.at('resource_monitors', i);
    dispatch<void>(at.at('typed_config'), configType, {
      [FixedHeapConfigSchema.typeName]: (config, any) => {
        if (name !== heap) at.at('name').fail(`must be ${heap}`);
        maxHeapBytes = Number(unpack(config, any, FixedHeapConfigSchema)?.maxHeapSizeBytes ?? 0n);
        if (maxHeapBytes < 1) config.at('max_heap_size_bytes').fail('must be at least 1');
      },
      [DownstreamConnectionsConfigSchema.typeName]: (config, any) => {
        if (name !== connections) at.at('name').fail(`must be ${connections}`);
        const given = unpack(config, any, DownstreamConnectionsConfigSchema);
        maxConnections = Number(given?.maxActiveDownstreamConnections ?? 0n);
        if (maxConnections < 1) config.at('max_active_downstream_connections').fail('must be at least 1');
      },
    });
  }
  const watched = { [heap]: maxHeapBytes !== null, [connections]: maxConnections !== null };
  const rules: OverloadRule[] = [];
  for (const [i, { name, triggers, typedConfig }] of message.actions.entries()) {
    const at = field.at('actions', i);
    if (!Object.hasOwn(actions, name)) at.at('name').fail(`${JSON.stringify(name)} is not supported`);
    if (typedConfig) at.at('typed_config').fail('is not supported');
    rules.push({
      action: actions[name],
      triggers: triggers.map((trigger, j) => compileTrigger(at.at('triggers', j), trigger, watched)),
    });
  }
  return { refreshMs: durationMs(message.refreshInterval, 1000), maxHeapBytes, maxConnections, rules };
}

function compileTrigger(field: Field, trigger: Trigger, watched: Readonly<Record<string, boolean>>) {
  if (!watched[trigger.name]) field.at('name').fail(`${JSON.stringify(trigger.name)} is not among resource_monitors`);
  const resource = trigger.name === heap ? ('heap' as const) : ('connections' as const);
  const { case: kind, value } = trigger.triggerOneof;
  if (kind === 'threshold') return { resource, from: value.value, to: value.value };
  if (kind === 'scaled') {
    if (value.scalingThreshold >= value.saturationThreshold)
      field.at('scaled').at('saturation_threshold').fail('must be above scaling_threshold');
    return { resource, from: value.scalingThreshold, to: value.saturationThreshold };
  }
  field.fail('gives neither threshold nor scaled');
  return { resource, from: 1, to: 1 };
}
