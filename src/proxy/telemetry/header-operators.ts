import type { Exchange } from '../http/exchange.ts';
import { isExchange } from './access-log.ts';
import { type Command, choice, command, type Operator, orNull } from './operator.ts';

type Read = (exchange: Exchange, name: string) => string | null;

/** `NAME?OTHER`: the first that is there. */
function either(argument: string, read: Read): Operator {
  const names = argument.toLowerCase().split('?');
  if (names.length > 2) throw new Error(`${argument} names more than one alternative`);
  if (names[0] === '') throw new Error(`${JSON.stringify(argument)} names no header`);
  const [first, second = ''] = names;
  return (s) => {
    if (!isExchange(s)) return null;
    return read(s, first) ?? (second === '' ? null : read(s, second));
  };
}

const header = (read: Read): Command => command('required', true, (argument) => either(argument!, read));

const bare = (path: string): string => {
  const at = path.indexOf('?');
  return at < 0 ? path : path.slice(0, at);
};

/** Of several fields the first, as Envoy reads them. */
const requestHeader: Read = (e, name) => {
  const value = e.sentHeader(name);
  if (value === null || !value.includes(',')) return value;
  const values = e.headerValues(name);
  return values.length > 1 ? values[0] : value;
};
const responseHeader: Read = (e, name) => e.responseHeader(name);
const trailer: Read = (e, name) => e.responseTrailer(name);

/** The path with its query (WQ) or without (NQ), as the caller sent it or as it was rewritten. */
function path(argument: string | null): Operator {
  const [first = 'WQ', second] = argument === null ? [] : argument.split(':');
  const query = choice(first, ['WQ', 'NQ']);
  const source = choice(second ?? 'ORIG_OR_PATH', ['ORIG', 'PATH', 'ORIG_OR_PATH']);
  return (s) => {
    if (!isExchange(s)) return null;
    const original = source === 'PATH' ? null : s.sentHeader('x-envoy-original-path');
    const value = original ?? (source === 'ORIG' ? null : s.sentHeader(':path'));
    return value === null || query === 'WQ' ? value : bare(value);
  };
}

const queryOf = (e: Exchange): string => {
  const value = e.sentHeader('x-envoy-original-path') ?? e.path;
  const at = value.indexOf('?');
  return at < 0 ? '' : value.slice(at + 1).replace(/#.*$/s, '');
};

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A parameter without a value has an empty one. */
function queryParameter(name: string | null): Operator {
  return (s) => {
    if (!isExchange(s)) return null;
    for (const pair of queryOf(s).split('&')) {
      const at = pair.indexOf('=');
      if (decoded(at < 0 ? pair : pair.slice(0, at)) === name)
        return pair === '' || at < 0 ? '' : decoded(pair.slice(at + 1));
    }
    return null;
  };
}

/** ORIG and DECODED: Envoy encodes again what it has decoded, so that both are what was sent. */
function queryParameters(argument: string | null): Operator {
  choice(argument ?? 'ORIG', ['ORIG', 'DECODED']);
  return (s) => (isExchange(s) ? orNull(queryOf(s)) : null);
}

export const headerOperators: Readonly<Record<string, Command>> = {
  REQ: header(requestHeader),
  REQUEST_HEADER: header(requestHeader),
  RESP: header(responseHeader),
  RESPONSE_HEADER: header(responseHeader),
  TRAILER: header(trailer),
  RESPONSE_TRAILER: header(trailer),
  REQ_WITHOUT_QUERY: header((e, name) => {
    const value = e.sentHeader(name);
    return value === null ? null : bare(value);
  }),
  PATH: command('optional', true, path),
  QUERY_PARAM: command('required', true, queryParameter),
  QUERY_PARAMS: command('optional', true, queryParameters),
};
