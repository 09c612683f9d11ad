import type { Http2ProtocolOptions, KeepaliveSettings } from '../../xds/gen/envoy/config/core/v3/protocol_pb.js';
import { Http2ProtocolOptionsSchema, KeepaliveSettingsSchema } from '../../xds/gen/envoy/config/core/v3/protocol_pb.js';
import type { Http2Keepalive } from '../codec/http2-keepalive.ts';
import type { Http2Limits } from '../codec/http2-limits.ts';
import { durationMs, type Field, words } from './field.ts';

const known = words(`max_concurrent_streams initial_stream_window_size initial_connection_window_size
  allow_connect max_outbound_control_frames max_consecutive_inbound_frames_with_empty_payload
  max_inbound_priority_frames_per_stream max_inbound_window_update_frames_per_data_frame_sent
  use_oghttp2_codec max_metadata_size connection_keepalive`);

/**
 * Envoy's limits on floods. Windows are smaller than Envoy's 16 and 24 MiB: what a slow receiver leaves waiting in this process
 * is bounded by them.
 */
const windowBytes = 1 << 20;
const connectionWindowBytes = 4 << 20;

export interface HeadSizes {
  readonly maxFieldBytes: number;
  readonly maxFields: number;
}

export function compileHttp2Options(
  field: Field,
  options: Http2ProtocolOptions | undefined,
  sizes: HeadSizes,
): Http2Limits {
  if (options) field.only(Http2ProtocolOptionsSchema, options, known);
  const window = options?.initialStreamWindowSize;
  const connection = options?.initialConnectionWindowSize;
  for (const [name, bytes] of [
    ['initial_stream_window_size', window],
    ['initial_connection_window_size', connection],
  ] as const)
    if (bytes !== undefined && (bytes < 65_535 || bytes > 2_147_483_647))
      field.at(name).fail(`${bytes} is not between 65535 and 2147483647`);
  const streams = options?.maxConcurrentStreams ?? 1024;
  if (streams < 1) field.at('max_concurrent_streams').fail('must be at least 1');
  return {
    maxStreams: streams,
    streamWindowBytes: window ?? windowBytes,
    connectionWindowBytes: Math.max(connection ?? connectionWindowBytes, 65_535),
    allowConnect: options?.allowConnect ?? false,
    maxFieldBytes: sizes.maxFieldBytes,
    maxFields: sizes.maxFields,
    maxContinuations: 64,
    maxOutboundControlFrames: options?.maxOutboundControlFrames ?? 1000,
    maxEmptyFrames: options?.maxConsecutiveInboundFramesWithEmptyPayload ?? 1,
    maxPriorityFrames: options?.maxInboundPriorityFramesPerStream ?? 100,
    maxWindowUpdatesPerData: options?.maxInboundWindowUpdateFramesPerDataFrameSent ?? 10,
    keepalive: compileKeepalive(field.at('connection_keepalive'), options?.connectionKeepalive),
  };
}

/** Null when no PING goes out by the clock. */
function compileKeepalive(field: Field, message: KeepaliveSettings | undefined): Http2Keepalive | null {
  if (!message) return null;
  field.only(KeepaliveSettingsSchema, message, words('interval timeout interval_jitter'));
  const timeoutMs = durationMs(message.timeout, 0);
  if (timeoutMs < 1) field.at('timeout').fail('must be at least 1 ms');
  if (!message.interval) return null;
  const intervalMs = durationMs(message.interval, 0);
  if (intervalMs < 1) field.at('interval').fail('must be at least 1 ms');
  return { intervalMs, timeoutMs, jitterPercent: message.intervalJitter?.value ?? 15 };
}
