import type { Metadata } from '../config/table.ts';
import { metadataAt } from '../http/match.ts';
import { isExchange, type LogSubject } from './access-log.ts';
import { type Command, choice, command, type Operator, plain, type Value } from './operator.ts';

type Read = (subject: LogSubject) => Metadata | null;

const sources: Readonly<Record<string, Read>> = {
  DYNAMIC: (s) => (isExchange(s) ? s.dynamicMetadata : null),
  CLUSTER: (s) => s.cluster?.metadata ?? null,
  ROUTE: (s) => (isExchange(s) ? (s.route?.metadata ?? null) : null),
  UPSTREAM_HOST: (s) => s.endpoint?.metadata ?? null,
  VIRTUAL_HOST: (s) => (isExchange(s) ? (s.virtualHost?.metadata ?? null) : null),
  LISTENER: (s) => s.listener.metadata,
};

function lookUp(read: Read, path: readonly string[]): Operator {
  if (path[0] === '') throw new Error('names no metadata namespace');
  if (path[0] === 'istio') throw new Error('metadata of istio is read by the proxy itself and not kept for formats');
  const [namespace, ...rest] = path;
  return (s) => (metadataAt(read(s), namespace, rest) ?? null) as Value;
}

const of = (read: Read, length: boolean): Command =>
  command('required', length, (argument) => lookUp(read, argument!.split(':')));

function metadata(argument: string | null): Operator {
  const [type, ...path] = argument!.split(':');
  return lookUp(sources[choice(type, Object.keys(sources))], path);
}

/** Filters of this proxy keep no filter state; formats that name some show that it is not there. */
const filterState = command('required', true, (argument) => {
  const [key, form = 'TYPED'] = argument!.split(':');
  if (key === '') throw new Error('names no filter state');
  choice(form, ['PLAIN', 'TYPED', 'FIELD']);
  return () => null;
});

export const metadataOperators: Readonly<Record<string, Command>> = {
  DYNAMIC_METADATA: of(sources.DYNAMIC, true),
  CLUSTER_METADATA: of(sources.CLUSTER, false),
  UPSTREAM_METADATA: of(sources.UPSTREAM_HOST, false),
  METADATA: command('required', true, metadata),
  FILTER_STATE: filterState,
  UPSTREAM_FILTER_STATE: filterState,
  CUSTOM_FLAGS: plain(() => ''),
};
