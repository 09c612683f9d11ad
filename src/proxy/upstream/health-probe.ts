/** One question to one host, whether it is well. */
import type { GrpcProbe, HealthCheck, HttpProbe, TcpProbe } from '../config/table.ts';
import { output } from '../net/output.ts';
import type { Transport } from '../net/transport.ts';
import type { ClusterPool } from './cluster.ts';
import { dial } from './dial.ts';
import { callGrpc } from './grpc-call.ts';
import { dialTarget, type Host } from './host.ts';
import { fieldOf, type SideAnswer, SideCall } from './side-call.ts';

/** `failed` is what the host says, `unreachable` that it says nothing or may say otherwise next time. */
export type ProbeOutcome = 'healthy' | 'degraded' | 'failed' | 'unreachable';

export interface Probe {
  /** No outcome is told any more. */
  cancel(): void;
}

/** Whom checks go to, over connections that carry nothing else. */
export interface ProbeTarget {
  readonly pool: ClusterPool;
  readonly host: Host;
  /** The name to ask for where the check has none of its own. */
  readonly name: string;
}

/** Begins it; `done` is told once, in a later turn as a rule. */
export function probe(target: ProbeTarget, check: HealthCheck, done: (outcome: ProbeOutcome) => void): Probe {
  if (check.probe.kind === 'http') return probeHttp(target, check.probe, check.timeoutMs, done);
  if (check.probe.kind === 'grpc') return probeGrpc(target, check.probe, check.timeoutMs, done);
  return new TcpQuestion(target, check.probe, check.timeoutMs, done);
}

const contains = (ranges: HttpProbe['expected'], status: number): boolean =>
  ranges.some(([from, to]) => status >= from && status < to);

function probeHttp(
  { pool, host, name }: ProbeTarget,
  given: HttpProbe,
  timeoutMs: number,
  done: (outcome: ProbeOutcome) => void,
): Probe {
  const fields: Array<readonly [string, string]> = [['user-agent', 'Envoy/HC'], ...given.add];
  const call = new SideCall(
    {
      method: given.method,
      authority: given.host || name,
      path: given.path,
      fields: fields.filter(([field]) => !given.remove.has(field)),
      body: given.send,
      timeoutMs,
      maxBodyBytes: 1 << 20,
    },
    (answer) => done(answer === null ? 'unreachable' : judged(given, answer)),
  );
  output.turn(() => call.start(pool, host));
  return call;
}

function judged(given: HttpProbe, answer: SideAnswer): ProbeOutcome {
  if (!contains(given.expected, answer.status))
    return contains(given.retriable, answer.status) ? 'unreachable' : 'failed';
  if (!inOrder(given.receive, answer.body.subarray(0, given.maxBodyBytes))) return 'failed';
  if (given.service !== null && !given.service.test(fieldOf(answer, 'x-envoy-upstream-healthchecked-cluster') ?? ''))
    return 'failed';
  return fieldOf(answer, 'x-envoy-degraded') === null ? 'healthy' : 'degraded';
}

/** Whether all are there, one behind the other, with anything between them. */
export function inOrder(wanted: readonly Buffer[], bytes: Buffer): boolean {
  let from = 0;
  for (const piece of wanted) {
    const at = bytes.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return true;
}

const serving = 1;

function probeGrpc(
  { pool, host, name }: ProbeTarget,
  given: GrpcProbe,
  timeoutMs: number,
  done: (outcome: ProbeOutcome) => void,
): Probe {
  const service = Buffer.from(given.service);
  let call: SideCall | null = null;
  let cancelled = false;
  output.turn(() => {
    call = callGrpc(
      pool,
      {
        authority: given.authority || name,
        path: '/grpc.health.v1.Health/Check',
        fields: given.fields,
        // HealthCheckRequest { service = 1 }; HealthCheckResponse { status = 1 }.
        message: service.length === 0 ? service : Buffer.concat([Buffer.from([10, service.length]), service]),
        timeoutMs,
      },
      ({ status, message }) => {
        if (cancelled) return;
        if (message !== null) done(message[0] === 8 && message[1] === serving ? 'healthy' : 'failed');
        // Unavailable and late are what a host says that cannot be reached.
        else done(status === 14 || status === 4 ? 'unreachable' : 'failed');
      },
      host,
    );
  });
  return {
    cancel() {
      cancelled = true;
      call?.cancel();
    },
  };
}

const maxTcpBytes = 65_536;

class TcpQuestion implements Probe {
  readonly #transport: Transport;
  readonly #timer: NodeJS.Timeout;
  readonly #done: (outcome: ProbeOutcome) => void;
  readonly #given: TcpProbe;
  #read = Buffer.alloc(0);
  #over = false;

  constructor({ pool, host }: ProbeTarget, given: TcpProbe, timeoutMs: number, done: (outcome: ProbeOutcome) => void) {
    this.#done = done;
    this.#given = given;
    this.#timer = setTimeout(() => this.#end('unreachable'), timeoutMs);
    this.#transport = dial(dialTarget(pool.config, host, 'tcp', '', null), pool.secrets, host.sessions, this);
  }

  onConnect(): void {
    const { send, receive } = this.#given;
    if (send.length > 0) {
      output.claim(this.#transport, send.length);
      output.put(send, 0, send.length);
    }
    if (receive.length === 0) this.#end('healthy');
  }

  onBytes(bytes: Buffer, length: number): void {
    this.#read = Buffer.concat([this.#read, bytes.subarray(0, length)]);
    if (inOrder(this.#given.receive, this.#read)) this.#end('healthy');
    else if (this.#read.length > maxTcpBytes) this.#end('failed');
  }

  onDrain(): void {}

  onEnd(): void {
    this.#end('unreachable');
  }

  onClose(): void {
    this.#end('unreachable');
  }

  #end(outcome: ProbeOutcome): void {
    if (this.#over) return;
    this.cancel();
    this.#done(outcome);
  }

  cancel(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#transport?.destroy();
  }
}
