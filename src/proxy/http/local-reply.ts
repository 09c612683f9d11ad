import { encodeGrpcMessage } from '../../xds/grpc/status.ts';
import { edit } from '../codec/header-edit.ts';
import { output } from '../net/output.ts';
import { grpcStatusOfHttp } from '../telemetry/grpc-status.ts';
import type { ActiveExchange } from './active-exchange.ts';
import { finish } from './finish.ts';
import { addResponseHeaders } from './response-headers.ts';

const nothing = Buffer.alloc(0);

/** Answers out of the proxy itself. `headers` are name, value, name, value. Ends the exchange. */
export function localReply(
  exchange: ActiveExchange,
  status: number,
  body: Buffer | string,
  details: string,
  headers: readonly string[] | null = null,
  grpcStatus: number | null = null,
): void {
  if (exchange.finished || exchange.responded) return;
  const bytes = typeof body === 'string' ? (body === '' ? nothing : Buffer.from(body)) : body;
  exchange.status = status;
  exchange.details = details;
  exchange.responded = true;
  exchange.responseTick = output.tick;
  exchange.localReplyBody = typeof body === 'string' ? body : '';
  edit.begin(null);
  const bodiless = status === 204 || status === 304 || status < 200;
  // HTTP/2 says by END_STREAM that nothing follows.
  if (!bodiless && (bytes.length > 0 || exchange.protocol !== 'HTTP/2'))
    edit.add('content-length', String(bytes.length));
  if (bytes.length > 0 && !bodiless) edit.add('content-type', 'text/plain');
  if (headers !== null) for (let i = 0; i < headers.length; i += 2) edit.set(headers[i], headers[i + 1]);
  const inGrpc = exchange.grpc;
  if (inGrpc) replyInGrpc(exchange, bytes.toString(), grpcStatus);
  addResponseHeaders(exchange, edit, null);
  for (let i = 0; i < edit.count; i++) exchange.noteResponseHeader(edit.names[i], edit.values[i]);
  const silent = exchange.method === 'HEAD' || bodiless || bytes.length === 0 || inGrpc;
  exchange.responseHeaderBytes = exchange.stream.sendHead(exchange.status, null, edit, silent ? 'none' : 'length');
  if (!silent) {
    exchange.stream.sendBody(bytes, 0, bytes.length);
    exchange.responseBodyBytes = bytes.length;
  }
  exchange.stream.sendEnd(null);
  finish(exchange);
}

/** gRPC callers are told in gRPC's own terms: 200 with grpc-status made from the HTTP status (gRPC's http-grpc-status-mapping). */
function replyInGrpc(exchange: ActiveExchange, message: string, given: number | null): void {
  const code = given ?? grpcStatusOfHttp(exchange.status);
  exchange.status = 200;
  edit.set('content-type', 'application/grpc');
  if (exchange.protocol === 'HTTP/2') edit.remove('content-length');
  else edit.set('content-length', '0');
  edit.set('grpc-status', String(code));
  if (message !== '') edit.set('grpc-message', encodeGrpcMessage(message));
}
