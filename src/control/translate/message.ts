/** Shorthand for Envoy's messages. */
import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import { type Any, anyPack, type Duration, DurationSchema } from '@bufbuild/protobuf/wkt';
import { parseDurationMs } from '../../lib/duration.ts';

export function any<D extends DescMessage>(schema: D, init: MessageInitShape<D>): Any {
  return anyPack(schema, create(schema, init));
}

export function milliseconds(ms: number): Duration {
  const whole = Math.floor(ms / 1000);
  return create(DurationSchema, { seconds: BigInt(whole), nanos: Math.round((ms - whole * 1000) * 1e6) });
}

/** An Istio duration (`1.5s`); undefined when absent or not one (validation has told so). */
export function duration(text: string | null | undefined): Duration | undefined {
  if (text === null || text === undefined || text === '') return undefined;
  const ms = parseDurationMs(text);
  return ms === null ? undefined : milliseconds(ms);
}

export function socketAddress(address: string, port: number) {
  return {
    address: {
      case: 'socketAddress' as const,
      value: { address, portSpecifier: { case: 'portValue' as const, value: port } },
    },
  };
}
