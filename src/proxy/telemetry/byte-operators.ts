import { statusLineBytes } from '../codec/http1.ts';
import type { Exchange } from '../http/exchange.ts';
import { isExchange } from './access-log.ts';
import { type Command, plain } from './operator.ts';

/** Bytes of HTTP/1 heads and bodies on the wire. What frames chunks is not counted. Connections show their own bytes where they have any. */
const bytes = (read: (exchange: Exchange) => number, ofConnection: 'received' | 'sent' | null = null): Command =>
  plain((s) => {
    if (isExchange(s)) return read(s);
    return ofConnection === 'received' ? s.receivedBytes : ofConnection === 'sent' ? s.sentBytes : 0;
  });

const lineEnd = 2;

/** Fields without the start line and the empty line. */
function sentResponseFields(e: Exchange): number {
  if (e.responseHeaderBytes === 0 || e.protocol === 'HTTP/2') return e.responseHeaderBytes;
  return e.responseHeaderBytes - statusLineBytes(e.status) - lineEnd;
}

const pseudo = (name: string, value: string): number => name.length + value.length;

const ofOneHop = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'] as const;

/** Names and values of the request as it was sent on, pseudo-headers among them; of one that was not, with what every request gets. */
function requestNamesAndValues(e: Exchange): number {
  if (e.method === '') return 0;
  const sent = e.upstreamHeadBytes > 0;
  const fields = sent
    ? e.upstreamFieldBytes / Math.max(1, e.attempts) - 4 * e.upstreamFieldCount
    : e.receivedFieldBytes() - 3 * e.requestFieldCount;
  const shared =
    pseudo(':method', e.method) +
    pseudo(':path', e.sentHeader(':path') ?? '') +
    pseudo(':scheme', e.scheme) +
    (':authority'.length - 'host'.length);
  if (sent) return fields + shared;
  let added = e.header('x-forwarded-proto') === null ? pseudo('x-forwarded-proto', e.scheme) : 0;
  // The id that the proxy made takes the place of one that came, if any did.
  if (e.requestId !== '') added += pseudo('x-request-id', e.requestId) - e.receivedIdBytes();
  // What is of one hop is taken off, whether or not the request goes on.
  for (const name of ofOneHop) {
    const value = e.header(name);
    if (value !== null) added -= pseudo(name, value);
  }
  return fields + shared + added;
}

function responseNamesAndValues(e: Exchange): number {
  if (e.responseHeaderBytes === 0 || e.protocol === 'HTTP/2') return e.responseHeaderBytes;
  // Envoy's codec alone says that an answer of the proxy has no body.
  const empty = !fromUpstream(e) && e.responseHeader('content-length') === '0' ? pseudo('content-length', '0') : 0;
  return sentResponseFields(e) - 4 * e.responseFieldCount + pseudo(':status', `${e.status}`) - empty;
}

const fromUpstream = (e: Exchange): boolean => e.upstream !== null && e.upstreamFirstByteTick >= 0;
const receivedResponse = (e: Exchange): number =>
  fromUpstream(e) ? e.receivedResponseBytes().head + e.responseBodyBytes : 0;
const receivedResponseFields = (e: Exchange): number => (fromUpstream(e) ? e.receivedResponseBytes().fields : 0);

export const byteOperators: Readonly<Record<string, Command>> = {
  REQUEST_HEADERS_BYTES: bytes(requestNamesAndValues),
  RESPONSE_HEADERS_BYTES: bytes(responseNamesAndValues),
  RESPONSE_TRAILERS_BYTES: bytes((e) => e.trailerBytes()),
  DOWNSTREAM_WIRE_BYTES_RECEIVED: bytes((e) => e.requestHeaderBytes + e.requestBodyBytes, 'received'),
  DOWNSTREAM_WIRE_BYTES_SENT: bytes((e) => e.responseHeaderBytes + e.responseBodyBytes, 'sent'),
  DOWNSTREAM_HEADER_BYTES_RECEIVED: bytes((e) => e.receivedFieldBytes()),
  DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED: bytes((e) => e.receivedFieldBytes()),
  DOWNSTREAM_HEADER_BYTES_SENT: bytes(sentResponseFields),
  DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT: bytes(sentResponseFields),
  UPSTREAM_WIRE_BYTES_SENT: bytes(
    (e) => (e.upstreamHeadBytes === 0 ? 0 : e.upstreamHeadBytes + e.requestBodyBytes),
    'received',
  ),
  UPSTREAM_WIRE_BYTES_RECEIVED: bytes(receivedResponse, 'sent'),
  UPSTREAM_HEADER_BYTES_SENT: bytes((e) => e.upstreamFieldBytes),
  UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT: bytes((e) => e.upstreamFieldBytes),
  UPSTREAM_HEADER_BYTES_RECEIVED: bytes(receivedResponseFields),
  UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED: bytes(receivedResponseFields),
};
