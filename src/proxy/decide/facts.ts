import type { FilterChain, HttpManager, Listener, Metadata } from '../config/table.ts';
import { strippedAuthority } from '../http/authority.ts';
import { clientAddress } from '../http/client-address.ts';
import type { RequestFacts } from '../http/facts.ts';
import type { ChainFacts } from '../net/chain-match.ts';
import type { Address } from '../net/connection.ts';
import { peerNamed, type Question } from './question.ts';

/** What the connection of a question shows before any of it is read. */
export function chainFactsOf(question: Question): ChainFacts {
  const source = { ip: question.source, port: 0 };
  return {
    destination: { ip: question.destination, port: question.port },
    source,
    directSource: source,
    serverName: question.sni,
    transport: question.tls ? 'tls' : 'raw_buffer',
    protocols: question.alpn,
  };
}

/** Filters leave in `dynamicMetadata` what they found out, as in the data path. */
export type QuestionFacts = RequestFacts & { dynamicMetadata: Metadata | null };

/** What rules see of a question: the connection alone without a manager, the request with one. */
export function factsOf(
  question: Question,
  listener: Listener,
  chain: FilterChain,
  manager: HttpManager | null,
): QuestionFacts {
  const values = (name: string) => question.headers.filter(([given]) => given === name).map(([, value]) => value);
  const source: Address = { ip: question.source, port: 0 };
  const ends = chain.tls !== null;
  const peer = ends ? peerNamed(question.principal) : null;
  const authority =
    manager === null ? '' : strippedAuthority(question.authority, manager, question.port || listener.address.port);
  const facts: QuestionFacts = {
    method: manager === null ? '' : question.method,
    path: manager === null ? '' : question.path,
    authority,
    scheme: ends ? 'https' : 'http',
    header(name) {
      if (manager === null) return null;
      if (name === ':method') return question.method;
      if (name === ':path') return facts.path;
      if (name === ':authority' || name === 'host') return authority;
      if (name === ':scheme') return facts.scheme;
      const found = values(name);
      return found.length === 0 ? null : found.join(',');
    },
    headerValues: values,
    peer,
    mtls: peer !== null,
    sni: question.sni,
    source,
    client:
      manager === null
        ? source
        : clientAddress(
            source,
            values('x-forwarded-for').join(',') || null,
            manager.useRemoteAddress,
            manager.xffNumTrustedHops,
          ),
    destination: { ip: question.destination, port: question.port || listener.address.port },
    dynamicMetadata: null,
    random: 0,
  };
  return facts;
}
