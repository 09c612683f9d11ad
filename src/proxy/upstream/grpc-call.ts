/** Unary gRPC calls of the proxy's own (gRPC over HTTP/2, "Requests" and "Responses"). */
import { frameMessage } from '../../xds/grpc/message.ts';
import { decodeGrpcMessage } from '../../xds/grpc/status.ts';
import { grpcStatusOfHttp } from '../telemetry/grpc-status.ts';
import type { ClusterPool } from './cluster.ts';
import type { Host } from './host.ts';
import { fieldOf, type SideAnswer, SideCall, type SideFailure } from './side-call.ts';

export interface GrpcRequest {
  readonly authority: string;
  /** `/package.Service/Method`. */
  readonly path: string;
  /** Metadata of the call. */
  readonly fields: ReadonlyArray<readonly [name: string, value: string]>;
  readonly message: Uint8Array;
  readonly timeoutMs: number;
}

export interface GrpcOutcome {
  /** 0 for OK. */
  readonly status: number;
  readonly text: string;
  /** Null when the call failed. */
  readonly message: Uint8Array | null;
}

const maxMessageBytes = 1 << 20;
const deadlineExceeded = 4;
const unavailable = 14;
const internal = 13;

/** Begins the call, over a cluster that speaks HTTP/2; what is returned can be cancelled. `done` may be called before this returns. */
export function callGrpc(
  pool: ClusterPool | null,
  request: GrpcRequest,
  done: (outcome: GrpcOutcome) => void,
  chosen: Host | null = null,
): SideCall {
  const { message, fields, timeoutMs } = request;
  const call = new SideCall(
    {
      ...request,
      method: 'POST',
      fields: [
        ['te', 'trailers'],
        ...(timeoutMs > 0 ? [['grpc-timeout', `${Math.ceil(timeoutMs)}m`] as const] : []),
        ['content-type', 'application/grpc'],
        ...fields,
      ],
      body: frameMessage(message),
      maxBodyBytes: maxMessageBytes + 5,
    },
    (answer, failure) => done(answer === null ? failed(failure!) : outcomeOf(answer)),
  );
  call.start(pool, chosen);
  return call;
}

function failed(failure: SideFailure): GrpcOutcome {
  if (failure.kind === 'timeout') return { status: deadlineExceeded, text: 'deadline exceeded', message: null };
  return { status: unavailable, text: failure.kind === 'reset' ? failure.reason : failure.kind, message: null };
}

function outcomeOf(answer: SideAnswer): GrpcOutcome {
  if (answer.status !== 200)
    return { status: grpcStatusOfHttp(answer.status), text: `HTTP status ${answer.status}`, message: null };
  const code = fieldOf(answer, 'grpc-status');
  const status = code !== null && /^\d{1,4}$/.test(code) ? Number(code) : 2;
  const text = decodeGrpcMessage(fieldOf(answer, 'grpc-message') ?? '');
  if (status !== 0) return { status, text, message: null };
  const { body } = answer;
  if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5)
    return { status: internal, text: 'the answer is not one plain message', message: null };
  return { status, text, message: body.subarray(5) };
}
