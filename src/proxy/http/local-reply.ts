import { encodeGrpcMessage } from '../../xds/grpc/status.ts';
import { edit } from '../codec/header-edit.ts';
import type { LocalReplies } from '../config/table.ts';
import { output } from '../net/output.ts';
import { grpcStatusOfHttp } from '../telemetry/grpc-status.ts';
import type { ActiveExchange } from './active-exchange.ts';
import { finish } from './finish.ts';
import { mutate } from './mutation.ts';
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
  let bytes = typeof body === 'string' ? (body === '' ? nothing : Buffer.from(body)) : body;
  exchange.status = status;
  exchange.details = details;
  exchange.responded = true;
  exchange.responseTick = output.tick;
  exchange.localReplyBody = typeof body === 'string' ? body : '';
  edit.begin(null);
  if (headers !== null) for (let i = 0; i < headers.length; i += 2) edit.set(headers[i], headers[i + 1]);
  const { localReplies } = exchange.manager;
  if (localReplies !== null) bytes = rewrite(exchange, bytes, localReplies);
  const bodiless = exchange.status === 204 || exchange.status === 304 || exchange.status < 200;
  const isHead = exchange.method === 'HEAD';
  if (bytes.length > 0 && !bodiless) {
    edit.add('content-length', String(bytes.length));
    if (edit.get('content-type') === null) edit.add('content-type', 'text/plain');
  } else {
    edit.remove('content-type');
    // HTTP/2 says by END_STREAM that nothing follows.
    if (!bodiless && exchange.protocol !== 'HTTP/2') {
      if (isHead && exchange.protocol === 'HTTP/1.1') edit.add('transfer-encoding', 'chunked');
      else edit.add('content-length', '0');
    }
  }
  const inGrpc = exchange.grpc;
  // A line of JSON has an end that a header has not.
  if (inGrpc) replyInGrpc(exchange, bytes.toString().replace(/\n$/, ''), grpcStatus);
  addResponseHeaders(exchange, edit, null);
  for (let i = 0; i < edit.count; i++) exchange.noteResponseHeader(edit.names[i], edit.values[i]);
  const silent = isHead || bodiless || bytes.length === 0 || inGrpc;
  exchange.responseHeaderBytes = exchange.stream.sendHead(exchange.status, null, edit, silent ? 'none' : 'length');
  if (!silent) {
    exchange.stream.sendBody(bytes, 0, bytes.length);
    exchange.responseBodyBytes = bytes.length;
  }
  exchange.stream.sendEnd(null);
  finish(exchange);
}

/**
 * Lets the first mapper that the answer fits change its status and headers (Envoy: local_reply_config); its body, as it or the
 * format for all makes it.
 */
function rewrite(exchange: ActiveExchange, body: Buffer, { mappers, format: common }: LocalReplies): Buffer {
  exchange.localReplyBody = body.toString();
  const mapper = mappers.find(({ filter }) => filter(exchange));
  if (mapper !== undefined) {
    if (mapper.body !== null) exchange.localReplyBody = mapper.body;
    if (mapper.headers !== null) mutate(mapper.headers, edit, exchange, noteNothing);
    if (mapper.status !== null) exchange.status = mapper.status;
  }
  const format = mapper?.format ?? common;
  const made = Buffer.from(format === null ? exchange.localReplyBody : format.text(exchange));
  // What headers say of the body holds for the one that they were added to.
  if (!made.equals(body)) edit.set('content-type', format?.contentType ?? 'text/plain');
  return made;
}

const noteNothing = () => {};

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
