/**
 * Envoy's command operators (Envoy documentation, "Substitution formatter") as far as this proxy can answer them. What is not
 * here is refused when the configuration is compiled.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Exchange } from '../http/exchange.ts';
import { emitting, isExchange, type LogSubject } from './access-log.ts';
import { addressOperators } from './address-operators.ts';
import { byteOperators } from './byte-operators.ts';
import { durationOperators } from './duration-operators.ts';
import { grpcCamelName, grpcSnakeName, grpcStatusOfHttp } from './grpc-status.ts';
import { headerOperators } from './header-operators.ts';
import { metadataOperators } from './metadata-operators.ts';
import { type Command, choice, command, type Operator, orNull, plain } from './operator.ts';
import { longFlags } from './response-flags.ts';
import { tlsOperators } from './tls-operators.ts';

const underscored = (text: string): string => (text.includes(' ') ? text.replaceAll(' ', '_') : text);

/** A number of requests; connections show 0. */
const count = (read: (exchange: Exchange) => number): Command => plain((s) => (isExchange(s) ? read(s) : 0));

const ofExchange = (read: (exchange: Exchange) => string | null): Command =>
  plain((s) => (isExchange(s) ? read(s) : null));

/** The status that a gRPC caller sees; null for requests that are not gRPC (Envoy: validate_grpc_header_before_log_grpc_status). */
export function grpcStatus(exchange: Exchange): number | null {
  return exchange.grpc ? grpcStatusAnyway(exchange) : null;
}

/** What the answer would mean to a gRPC caller, whoever asked; null without an answer. */
export function grpcStatusAnyway(exchange: Exchange): number | null {
  const status = exchange.responseTrailer('grpc-status') ?? exchange.responseHeader('grpc-status');
  if (status === null) return exchange.status === 0 ? null : grpcStatusOfHttp(exchange.status);
  return /^\d{1,9}$/.test(status) ? Number(status) : -1;
}

function grpcStatusAs(form: string): Operator {
  const show =
    form === 'NUMBER'
      ? (status: number) => status
      : form === 'SNAKE_STRING'
        ? (status: number) => grpcSnakeName(status)
        : (status: number) => grpcCamelName(status);
  return (s) => {
    const status = isExchange(s) ? grpcStatus(s) : null;
    return status === null ? null : show(status);
  };
}

/** The first value that is there, `{"operators": ["NAME", {"command": "NAME", "param": "X", "max_length": N}]}`. */
function coalesce(argument: string | null): Operator {
  const config = JSON.parse(argument!) as { operators?: Array<string | Record<string, unknown>> };
  if (!Array.isArray(config.operators) || config.operators.length === 0) throw new Error('names no operators');
  const list = config.operators.map((given) => {
    if (typeof given === 'string') return operatorOf(given, null, null);
    const { command: name, param, max_length: length } = given;
    return operatorOf(
      String(name),
      param === undefined ? null : String(param),
      length === undefined ? null : Number(length),
    );
  });
  return (s) => {
    for (const read of list) {
      const value = read(s);
      if (value !== null && value !== '') return value;
    }
    return null;
  };
}

const host = hostname();

const general: Readonly<Record<string, Command>> = {
  PROTOCOL: ofExchange((e) => e.protocol),
  UPSTREAM_PROTOCOL: ofExchange((e) => orNull(e.upstream?.protocol)),
  RESPONSE_CODE: count((e) => e.status),
  RESPONSE_FLAGS: plain((s) => s.flags || '-'),
  RESPONSE_FLAGS_LONG: plain((s) => (s.flags === '' ? '-' : longFlags(s.flags))),
  RESPONSE_CODE_DETAILS: command('optional', false, (argument) => {
    const spaces = argument === 'ALLOW_WHITESPACES';
    return (s) => (isExchange(s) ? orNull(spaces ? s.details : underscored(s.details)) : null);
  }),
  CONNECTION_TERMINATION_DETAILS: plain((s) => (isExchange(s) ? null : orNull(underscored(s.details)))),
  UPSTREAM_TRANSPORT_FAILURE_REASON: plain((s) => orNull(underscored(s.upstreamFailure))),
  DOWNSTREAM_TRANSPORT_FAILURE_REASON: plain(() => null),
  BYTES_RECEIVED: plain((s) => (isExchange(s) ? s.requestBodyBytes : s.receivedBytes)),
  BYTES_SENT: plain((s) => (isExchange(s) ? s.responseBodyBytes : s.sentBytes)),
  BYTES_RETRANSMITTED: plain(() => 0),
  PACKETS_RETRANSMITTED: plain(() => 0),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: plain((s) => s.attempts),
  UPSTREAM_CONNECTION_ID: plain((s) => s.upstream?.id ?? 0),
  UPSTREAM_CLUSTER: plain((s) => orNull(s.cluster?.altStatName || s.cluster?.name)),
  UPSTREAM_CLUSTER_RAW: plain((s) => orNull(s.cluster?.name)),
  ROUTE_NAME: ofExchange((e) => orNull(e.route?.name)),
  FILTER_CHAIN_NAME: plain((s) => orNull(s.connection.filterChain)),
  CONNECTION_ID: plain((s) => s.connection.id),
  STREAM_ID: plain((s) => (isExchange(s) ? orNull(s.sentHeader('x-request-id')) : `${s.connection.id}`)),
  TRACE_ID: ofExchange((e) => orNull(e.traceId)),
  SPAN_ID: ofExchange((e) => orNull(e.spanId)),
  UNIQUE_ID: plain(() => randomUUID()),
  ACCESS_LOG_TYPE: plain(() => emitting.type),
  // Envoy's access logs do not know it; formats of answers do.
  LOCAL_REPLY_BODY: plain((s) => (isExchange(s) && emitting.type === 'NotSet' ? s.localReplyBody : '')),
  HOSTNAME: plain(() => host),
  ENVIRONMENT: command('required', true, (name) => {
    const value = orNull(process.env[name!]);
    return () => value;
  }),
  GRPC_STATUS: command('optional', false, (form) =>
    grpcStatusAs(choice(form ?? 'CAMEL_STRING', ['CAMEL_STRING', 'SNAKE_STRING', 'NUMBER'])),
  ),
  GRPC_STATUS_NUMBER: plain(grpcStatusAs('NUMBER')),
  COALESCE: command('required', true, coalesce),
};

const commands: Readonly<Record<string, Command>> = {
  ...general,
  ...addressOperators,
  ...byteOperators,
  ...durationOperators,
  ...headerOperators,
  ...metadataOperators,
  ...tlsOperators,
};

/** Throws an Error that names the operator when there is none, or it cannot be written in this way. */
export function operatorOf(name: string, argument: string | null, length: number | null): Operator {
  const shown = `%${name}${argument === null ? '' : `(${argument})`}${length === null ? '' : `:${length}`}%`;
  if (!Object.hasOwn(commands, name)) throw new Error(`${shown} is not a command operator of this proxy`);
  const { argument: takes, length: mayCut, make } = commands[name];
  if (takes === 'none' && argument !== null) throw new Error(`${shown} takes no argument`);
  if (takes === 'required' && !argument) throw new Error(`${shown} needs an argument`);
  if (!mayCut && length !== null) throw new Error(`${shown} takes no length`);
  let made: Operator;
  try {
    made = make(argument);
  } catch (error) {
    throw new Error(`${shown}: ${(error as Error).message}`);
  }
  return length === null ? made : cut(made, length);
}

function cut(operator: Operator, length: number): Operator {
  return (s: LogSubject) => {
    const value = operator(s);
    return typeof value === 'string' ? value.slice(0, length) : value;
  };
}
