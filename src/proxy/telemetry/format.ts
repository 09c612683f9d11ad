/**
 * Envoy's command operators (Envoy documentation, "Access logging", command operators), compiled to a flat list of functions.
 * An unknown operator is an Error when the configuration is compiled; a value that is not there is `-` in text and null in JSON.
 */
import { hostname } from 'node:os';
import type { Address } from '../net/connection.ts';
import { isExchange, type LogSubject } from './access-log.ts';
import { grpcStatusName, longFlags } from './response-flags.ts';
import { isoTime, timeFormat } from './start-time.ts';

export type Value = string | number | null;
export type Operator = (subject: LogSubject) => Value;

const text = (value: string | undefined): string | null => value || null;

function addressOperators(name: string, read: (subject: LogSubject) => Address | null): Record<string, Operator> {
  return {
    [name]: (s) => {
      const address = read(s);
      if (!address?.ip) return null;
      return address.ip.includes(':') ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`;
    },
    [`${name}_WITHOUT_PORT`]: (s) => text(read(s)?.ip),
    [name.replace(/ADDRESS$/, 'PORT')]: (s) => read(s)?.port || null,
  };
}

const span = (from: number, to: number): number | null => (from < 0 || to < 0 ? null : Math.round(to - from));

const upstreamHost = addressOperators('UPSTREAM_REMOTE_ADDRESS', (s) => s.upstreamRemote);

const plain: Record<string, Operator> = {
  PROTOCOL: (s) => (isExchange(s) ? s.protocol : null),
  RESPONSE_CODE: (s) => (isExchange(s) ? s.status : 0),
  RESPONSE_FLAGS: (s) => text(s.flags),
  RESPONSE_FLAGS_LONG: (s) => text(longFlags(s.flags)),
  RESPONSE_CODE_DETAILS: (s) => (isExchange(s) ? text(s.details.replaceAll(' ', '_')) : null),
  CONNECTION_TERMINATION_DETAILS: (s) => (isExchange(s) ? null : text(s.details.replaceAll(' ', '_'))),
  UPSTREAM_TRANSPORT_FAILURE_REASON: (s) => text(s.upstreamFailure.replaceAll(' ', '_')),
  BYTES_RECEIVED: (s) => (isExchange(s) ? s.requestBodyBytes : s.receivedBytes),
  BYTES_SENT: (s) => (isExchange(s) ? s.responseBodyBytes : s.sentBytes),
  REQUEST_HEADERS_BYTES: (s) => (isExchange(s) ? s.requestHeaderBytes : 0),
  RESPONSE_HEADERS_BYTES: (s) => (isExchange(s) ? s.responseHeaderBytes : 0),
  DURATION: (s) => span(s.startTick, s.endTick),
  REQUEST_DURATION: (s) => (isExchange(s) ? span(s.startTick, s.requestEndTick) : null),
  RESPONSE_DURATION: (s) => (isExchange(s) ? span(s.startTick, s.upstreamFirstByteTick) : null),
  RESPONSE_TX_DURATION: (s) => (isExchange(s) ? span(s.upstreamFirstByteTick, s.endTick) : null),
  UPSTREAM_CLUSTER: (s) => text(s.cluster?.altStatName || s.cluster?.name),
  UPSTREAM_CLUSTER_RAW: (s) => text(s.cluster?.name),
  UPSTREAM_HOST: upstreamHost.UPSTREAM_REMOTE_ADDRESS,
  ...upstreamHost,
  ...addressOperators('UPSTREAM_LOCAL_ADDRESS', (s) => s.upstreamLocal),
  ...addressOperators('DOWNSTREAM_LOCAL_ADDRESS', (s) => s.connection.local),
  ...addressOperators('DOWNSTREAM_REMOTE_ADDRESS', (s) => (isExchange(s) ? s.client : s.connection.remote)),
  ...addressOperators('DOWNSTREAM_DIRECT_REMOTE_ADDRESS', (s) => s.connection.remote),
  DOWNSTREAM_PEER_URI_SAN: (s) => text(s.connection.peer?.uriSans.join(',')),
  DOWNSTREAM_PEER_DNS_SAN: (s) => text(s.connection.peer?.dnsSans.join(',')),
  DOWNSTREAM_PEER_SUBJECT: (s) => text(s.connection.peer?.subject),
  DOWNSTREAM_PEER_FINGERPRINT_256: (s) => text(s.connection.peer?.fingerprint),
  DOWNSTREAM_TLS_VERSION: (s) => text(s.connection.tlsVersion),
  DOWNSTREAM_TLS_CIPHER: (s) => text(s.connection.tlsCipher),
  REQUESTED_SERVER_NAME: (s) => text(s.connection.sni),
  ROUTE_NAME: (s) => (isExchange(s) ? text(s.route?.name) : null),
  VIRTUAL_HOST_NAME: (s) => (isExchange(s) ? text(s.virtualHost?.name) : null),
  FILTER_CHAIN_NAME: (s) => text(s.connection.filterChain),
  CONNECTION_ID: (s) => s.connection.id,
  UPSTREAM_REQUEST_ATTEMPT_COUNT: (s) => (isExchange(s) ? s.attempts : 0),
  GRPC_STATUS_NUMBER: (s) => (isExchange(s) ? grpcStatus(s) : null),
  GRPC_STATUS: (s) => {
    const status = isExchange(s) ? grpcStatus(s) : null;
    return status === null ? null : grpcStatusName(status);
  },
  HOSTNAME: () => hostname(),
};

function grpcStatus(subject: {
  responseTrailer(name: string): string | null;
  responseHeader(name: string): string | null;
}) {
  const status = subject.responseTrailer('grpc-status') ?? subject.responseHeader('grpc-status');
  return status === null || !/^\d+$/.test(status) ? null : Number(status);
}

/** `NAME?OTHER` in REQ and its kin. */
function headerOperator(
  name: string,
  read: (s: LogSubject & { manager: unknown }, header: string) => string | null,
): Operator {
  const [first, second] = name.toLowerCase().split('?');
  return (s) => {
    if (!isExchange(s)) return null;
    return read(s, first) ?? (second ? read(s, second) : null);
  };
}

const withoutQuery = (value: string | null): string | null => value?.replace(/[?#].*$/s, '') ?? null;

function requestHeader(s: LogSubject, name: string): string | null {
  if (!isExchange(s)) return null;
  // The log shows what the caller sent; routing may have rewritten it meanwhile.
  if (name === ':path') return s.originalPath || s.path;
  return s.header(name);
}

const withArgument: Record<string, (argument: string) => Operator> = {
  REQ: (name) => headerOperator(name, requestHeader),
  REQ_WITHOUT_QUERY: (name) => headerOperator(name, (s, header) => withoutQuery(requestHeader(s, header))),
  RESP: (name) => headerOperator(name, (s, header) => (isExchange(s) ? s.responseHeader(header) : null)),
  TRAILER: (name) => headerOperator(name, (s, header) => (isExchange(s) ? s.responseTrailer(header) : null)),
  START_TIME: (pattern) => {
    const format = timeFormat(pattern);
    return (s) => format(s.startedAtMs);
  },
  ENVIRONMENT: (name) => {
    const value = text(process.env[name]);
    return () => value;
  },
  GRPC_STATUS: (form) => (form === 'NUMBER' ? plain.GRPC_STATUS_NUMBER : plain.GRPC_STATUS),
  // This proxy keeps no such state; logs that name it show that it is not there.
  DYNAMIC_METADATA: () => () => null,
  FILTER_STATE: () => () => null,
  METADATA: () => () => null,
  CLUSTER_METADATA: () => () => null,
};

const operatorPattern = /%(?:%|([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d+))?%)/g;

/** Cuts a format into literals and operators. Throws an Error that names an unknown operator. */
export function parseFormat(format: string): Array<string | Operator> {
  const parts: Array<string | Operator> = [];
  let end = 0;
  const literal = (piece: string) => {
    if (piece.includes('%')) throw new Error(`${JSON.stringify(piece)} has a % that begins no command operator`);
    if (piece) parts.push(piece);
  };
  for (const match of format.matchAll(operatorPattern)) {
    literal(format.slice(end, match.index));
    end = match.index + match[0].length;
    parts.push(match[0] === '%%' ? '%' : operator(match[1], match[2], match[3]));
  }
  literal(format.slice(end));
  return parts;
}

function operator(name: string, argument: string | undefined, limit: string | undefined): Operator {
  let made: Operator;
  if (name === 'START_TIME' && !argument) made = (s) => isoTime(s.startedAtMs);
  else if (argument !== undefined && Object.hasOwn(withArgument, name)) made = withArgument[name](argument);
  else if (argument === undefined && Object.hasOwn(plain, name)) made = plain[name];
  else
    throw new Error(
      `%${name}${argument === undefined ? '' : `(${argument})`}% is not a command operator of this proxy`,
    );
  if (limit === undefined) return made;
  const length = Number(limit);
  return (s) => {
    const value = made(s);
    return typeof value === 'string' ? value.slice(0, length) : value;
  };
}

/** One function for the whole text; a missing value is written as `absent`. */
export function textFormat(format: string, absent: string): (subject: LogSubject) => string {
  const parts = parseFormat(format);
  return (subject) => {
    let line = '';
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i];
      line += typeof part === 'string' ? part : (part(subject) ?? absent);
    }
    return line;
  };
}

/** A JSON object of formats; a value that is one operator keeps its type. */
export function jsonFormat(fields: Record<string, unknown>, omitEmpty: boolean): (subject: LogSubject) => string {
  const node = jsonNode(fields, omitEmpty);
  return (subject) => `${JSON.stringify(node(subject))}\n`;
}

type JsonNode = (subject: LogSubject) => unknown;

function jsonNode(value: unknown, omitEmpty: boolean): JsonNode {
  if (typeof value === 'string') {
    const parts = parseFormat(value);
    const only = parts.length === 1 ? parts[0] : null;
    return typeof only === 'function' ? only : textFormat(value, omitEmpty ? '' : '-');
  }
  if (Array.isArray(value)) {
    const nodes = value.map((item) => jsonNode(item, omitEmpty));
    return (subject) => nodes.map((node) => node(subject));
  }
  if (typeof value === 'object' && value !== null) {
    const nodes = Object.entries(value).map(([key, item]) => [key, jsonNode(item, omitEmpty)] as const);
    return (subject) => {
      const out: Record<string, unknown> = {};
      for (const [key, node] of nodes) {
        const made = node(subject);
        if (!omitEmpty || (made !== null && made !== '')) out[key] = made;
      }
      return out;
    };
  }
  return () => value;
}
