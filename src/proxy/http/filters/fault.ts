/** Injected faults (Envoy's fault filter): delay first, then abort. The share of requests is drawn for each by itself. */
import type { Fault, Route } from '../../config/table.ts';
import { output } from '../../net/output.ts';
import type { ActiveExchange } from '../active-exchange.ts';
import type { RequestFacts } from '../facts.ts';
import { localReply } from '../local-reply.ts';
import { headersMatch } from '../match.ts';
import { HeldRequest } from './held-request.ts';
import type { Outcome, Place } from './place.ts';

export function runFault(place: Place, statPrefix: string, fault: Fault): Outcome {
  const { exchange } = place;
  const counters = exchange.plane.statistics.filter(statPrefix, 'fault');
  if (counters.active_faults >= fault.maxActive) {
    counters.faults_overflow++;
    return 'goOn';
  }
  if (!faultApplies(exchange, exchange.route, fault)) return 'goOn';
  const { delay } = fault;
  const delayMs = delay === null ? 0 : (delay.ms ?? numberIn(exchange, 'x-envoy-fault-delay-request') ?? 0);
  if (
    delay !== null &&
    delayMs > 0 &&
    drawn(exchange, delay.millionths, delay.ms === null ? 'x-envoy-fault-delay-request-percentage' : null)
  ) {
    exchange.addFlag('DI');
    counters.delays_injected++;
    new FaultDelay(place, statPrefix, fault, delayMs);
    return 'waits';
  }
  return abort(exchange, statPrefix, fault) ? 'ended' : 'goOn';
}

/** Whether the filter concerns a request at all; then the shares are drawn. */
export function faultApplies(facts: RequestFacts, route: Route | null, fault: Fault): boolean {
  const { headers, upstreamCluster, downstreamNodes } = fault;
  if (upstreamCluster !== '' && !route?.forward?.clusters.some(({ cluster }) => cluster === upstreamCluster))
    return false;
  if (downstreamNodes !== null && !downstreamNodes.has(facts.header('x-envoy-downstream-service-node') ?? ''))
    return false;
  return headersMatch(headers, facts);
}

/** Whether the request was answered. */
function abort(exchange: ActiveExchange, statPrefix: string, { abort: given }: Fault): boolean {
  if (given === null) return false;
  const byHeader = given.status === 0;
  const status = byHeader ? statusAsked(exchange) : given.status;
  const grpcStatus = byHeader ? numberIn(exchange, 'x-envoy-fault-abort-grpc-request') : given.grpcStatus;
  if (status === 0 && grpcStatus === null) return false;
  if (!drawn(exchange, given.millionths, byHeader ? 'x-envoy-fault-abort-request-percentage' : null)) return false;
  exchange.addFlag('FI');
  exchange.plane.statistics.filter(statPrefix, 'fault').aborts_injected++;
  localReply(exchange, status || 200, 'fault filter abort', 'fault_filter_abort', null, grpcStatus);
  return true;
}

/** A status that a caller may ask for; 0 for anything else. */
function statusAsked(exchange: ActiveExchange): number {
  const status = numberIn(exchange, 'x-envoy-fault-abort-request') ?? 0;
  return status >= 200 && status < 600 ? status : 0;
}

function numberIn(exchange: ActiveExchange, name: string): number | null {
  const text = exchange.header(name);
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** A caller can make the share smaller, never larger. */
function drawn(exchange: ActiveExchange, millionths: number, header: string | null): boolean {
  const percent = header === null ? null : numberIn(exchange, header);
  const share = percent === null ? millionths : Math.min(millionths, percent * 10_000);
  return share >= 1_000_000 || Math.random() * 1_000_000 < share;
}

/** Keeps a request waiting. */
class FaultDelay extends HeldRequest {
  private readonly statPrefix: string;
  private readonly timer: NodeJS.Timeout;

  constructor(place: Place, statPrefix: string, fault: Fault, delayMs: number) {
    super(place);
    const { exchange } = place;
    this.statPrefix = statPrefix;
    exchange.plane.statistics.filter(statPrefix, 'fault').active_faults++;
    this.timer = setTimeout(() => {
      output.turn(() => {
        this.stop();
        this.letGo();
        if (!abort(exchange, statPrefix, fault)) this.goOn();
      });
    }, delayMs);
  }

  protected stop(): void {
    clearTimeout(this.timer);
    this.exchange.plane.statistics.filter(this.statPrefix, 'fault').active_faults--;
  }
}
