/** Asks a rate limit service about requests (Envoy: ratelimit; service.ratelimit.v3.RateLimitService). */
import type {
  RateLimitResponse,
  RateLimitResponse_DescriptorStatus,
} from '../../../xds/gen/envoy/service/ratelimit/v3/rls_pb.js';
import type { HeaderMutation, RateLimitFilter, RouteRateLimit } from '../../config/table.ts';
import { output } from '../../net/output.ts';
import type { FilterCounters } from '../../telemetry/counters.ts';
import { callGrpc } from '../../upstream/grpc-call.ts';
import type { SideCall } from '../../upstream/side-call.ts';
import type { ActiveExchange } from '../active-exchange.ts';
import { fromInside } from '../client-address.ts';
import { localReply } from '../local-reply.ts';
import { type Descriptor, describe, descriptorsOf } from './descriptors.ts';
import { HeldRequest } from './held-request.ts';
import type { Outcome, Place } from './place.ts';

const path = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';
/** Any other code lets the request through, as with Envoy. */
const overLimit = 2;
const metadataName = 'envoy.filters.http.ratelimit';

export function runRateLimit(place: Place, filter: RateLimitFilter, said: RouteRateLimit | null): Outcome {
  const { exchange } = place;
  if (filter.requests !== 'both' && (filter.requests === 'internal') !== fromInside(exchange)) return 'goOn';
  const descriptors =
    said !== null && said.rules.length > 0
      ? describe(exchange, said.rules, filter.stage)
      : descriptorsOf(exchange, filter.stage, said?.hostLimits ?? 'override');
  if (descriptors.length === 0) return 'goOn';
  new LimitCall(place, filter, said?.domain || filter.domain, descriptors);
  return 'waits';
}

function countersOf(exchange: ActiveExchange): FilterCounters {
  const cluster = exchange.weighted?.cluster ?? exchange.route?.forward?.clusters[0]?.cluster ?? '';
  return exchange.plane.statistics.filter(`cluster.${cluster}.ratelimit.`, 'rateLimit');
}

class LimitCall extends HeldRequest {
  private readonly filter: RateLimitFilter;
  private call: SideCall | null = null;
  private over = false;

  constructor(place: Place, filter: RateLimitFilter, domain: string, descriptors: readonly Descriptor[]) {
    super(place);
    this.filter = filter;
    void this.ask(domain, descriptors);
  }

  private async ask(domain: string, descriptors: readonly Descriptor[]): Promise<void> {
    const { create, fromBinary, toBinary } = await import('@bufbuild/protobuf');
    const { RateLimitRequestSchema, RateLimitResponseSchema } = await import(
      '../../../xds/gen/envoy/service/ratelimit/v3/rls_pb.js'
    );
    if (this.over) return;
    const message = toBinary(
      RateLimitRequestSchema,
      create(RateLimitRequestSchema, {
        domain,
        descriptors: descriptors.map(({ entries, limit }) => ({
          entries: [...entries],
          ...(limit && { limit: { requestsPerUnit: limit.requestsPerUnit, unit: unitNumber(limit.unit) } }),
        })),
      }),
    );
    output.turn(() => {
      this.call = callGrpc(
        this.exchange.plane.pool(this.filter.service.cluster),
        { ...this.filter.service, path, message },
        (outcome) => {
          let answer: RateLimitResponse | null = null;
          try {
            if (outcome.message !== null) answer = fromBinary(RateLimitResponseSchema, outcome.message);
          } catch {
            // What cannot be read is as good as no answer.
          }
          this.settle(answer);
        },
      );
    });
  }

  protected stop(): void {
    this.over = true;
    this.call?.cancel();
  }

  private settle(answer: RateLimitResponse | null): void {
    if (this.over) return;
    this.over = true;
    this.letGo();
    const { exchange, filter } = this;
    const counters = countersOf(exchange);
    if (answer === null) {
      counters.error++;
      if (!filter.failureDenies) {
        counters.failure_mode_allowed++;
        this.goOn();
        return;
      }
      exchange.addFlag('RLSE');
      localReply(exchange, filter.failureStatus, '', 'rate_limiter_error');
      return;
    }
    if (answer.dynamicMetadata) exchange.addMetadata(metadataName, answer.dynamicMetadata);
    const told = tells(filter, answer);
    if (told.add.length > 0) exchange.changeResponse(told);
    if (answer.overallCode !== overLimit) {
      counters.ok++;
      for (const { key, value } of answer.requestHeadersToAdd)
        exchange.addRequestHeader(key.toLowerCase(), latin1(value));
      this.goOn();
      return;
    }
    counters.over_limit++;
    if (filter.responseHeaders !== null) exchange.changeResponse(filter.responseHeaders);
    exchange.addFlag('RL');
    localReply(exchange, filter.status, Buffer.from(answer.rawBody), 'request_rate_limited', null, filter.grpcStatus);
  }
}

/** Bytes of UTF-8 as the characters that header values are made of. */
const latin1 = (text: string): string => Buffer.from(text).toString('latin1');

const units = ['UNKNOWN', 'SECOND', 'MINUTE', 'HOUR', 'DAY', 'MONTH', 'YEAR'];
const unitSeconds = [0, 1, 60, 3600, 86_400, 2_592_000, 31_536_000];

const unitNumber = (unit: string): number => Math.max(0, units.indexOf(unit));

function tells(filter: RateLimitFilter, answer: RateLimitResponse): HeaderMutation {
  const refuses = answer.overallCode === overLimit;
  const add = (name: string, value: string, action: 'append' | 'overwrite' = 'append') => ({
    name,
    value,
    keepEmpty: false,
    action,
  });
  return {
    add: [
      ...answer.responseHeadersToAdd.map(({ key, value }) =>
        // The service's word on what the body is counts, when there is one of its own.
        add(key.toLowerCase(), latin1(value), refuses && key.toLowerCase() === 'content-type' ? 'overwrite' : 'append'),
      ),
      ...(refuses && filter.tellsEnvoyHeader ? [add('x-envoy-ratelimited', 'true', 'overwrite')] : []),
      ...(filter.tellsLimits ? limitHeaders(answer.statuses).map(([name, value]) => add(name, value)) : []),
    ],
    remove: [],
  };
}

/** X-RateLimit-* of the descriptor that leaves least (draft-polli-ratelimit-headers-03). */
function limitHeaders(statuses: readonly RateLimitResponse_DescriptorStatus[]): Array<[string, string]> {
  let least: RateLimitResponse_DescriptorStatus | null = null;
  for (const status of statuses)
    if (status.currentLimit && (least === null || status.limitRemaining < least.limitRemaining)) least = status;
  if (least === null) return [];
  const policies = statuses.flatMap(({ currentLimit: limit }) =>
    limit && unitSeconds[limit.unit] > 0
      ? [`, ${limit.requestsPerUnit};w=${unitSeconds[limit.unit]}${limit.name ? `;name="${limit.name}"` : ''}`]
      : [],
  );
  return [
    ['x-ratelimit-limit', `${least.currentLimit!.requestsPerUnit}${policies.join('')}`],
    ['x-ratelimit-remaining', String(least.limitRemaining)],
    ['x-ratelimit-reset', String(least.durationUntilReset?.seconds ?? 0)],
  ];
}
