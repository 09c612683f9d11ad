import { isIP } from 'node:net';
import type { PeerIdentity } from '../net/connection.ts';

/** A request that nobody has sent, and the connection it would come on. */
export interface Question {
  /** Name of the listener; '' for the one at `port`. */
  readonly listener: string;
  /** Where the caller connects to. */
  readonly port: number;
  readonly destination: string;
  readonly source: string;
  /** URI name of the caller's certificate; '' without one. */
  readonly principal: string;
  readonly tls: boolean;
  /** Server name of the ClientHello; ''. */
  readonly sni: string;
  /** Protocols that the ClientHello offers, or that inspection finds. */
  readonly alpn: readonly string[];
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  /** Names in lower case. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
}

/** Of `/explain`, and what they say about themselves. */
export const questionParameters: ReadonlyArray<readonly [name: string, help: string]> = [
  ['method', 'GET unless told'],
  ['authority', 'Host header or :authority'],
  ['path', 'With its query, encoded; / unless told'],
  ['header', 'NAME:VALUE; may be given often'],
  ['listener', 'Name of the listener, instead of the port'],
  ['port', 'Where the caller connects to'],
  ['destination', 'IP address that the caller connects to; 127.0.0.1 unless told'],
  ['source', "The caller's IP address; 127.0.0.1 unless told"],
  ['principal', "URI name of the caller's certificate; implies tls"],
  ['tls', 'The caller speaks TLS'],
  ['sni', 'Server name of its ClientHello; implies tls'],
  ['alpn', 'Protocols that it offers, with commas between'],
  ['format', 'One of (text, json)'],
];

const maxHeaders = 100;
const known = new Set(questionParameters.map(([name]) => name));

/** The question that a URL's parameters ask; throws an Error that names the one that is wrong. */
export function readQuestion(query: URLSearchParams): Question {
  for (const name of query.keys())
    if (!known.has(name)) throw new Error(`${name}: is no parameter; there are ${[...known].join(', ')}`);
  const text = (name: string, otherwise: string) => query.get(name) ?? otherwise;
  const listener = text('listener', '');
  const port = Number(text('port', '0'));
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`port: "${query.get('port')}" is no port`);
  if (listener === '' && port === 0)
    throw new Error('port: is missing; it or listener says where the request comes in');
  const address = (name: string) => {
    const ip = text(name, '127.0.0.1');
    if (isIP(ip) === 0) throw new Error(`${name}: "${ip}" is no IP address`);
    return ip;
  };
  const path = text('path', '/');
  if (!path.startsWith('/') && path !== '*') throw new Error(`path: "${path}" does not begin with /`);
  const given = query.getAll('header');
  if (given.length > maxHeaders) throw new Error(`header: at most ${maxHeaders} may be given`);
  const headers = given.map((pair) => {
    const colon = pair.indexOf(':', 1);
    if (colon < 0) throw new Error(`header: "${pair}" has no colon`);
    return [pair.slice(0, colon).trim().toLowerCase(), pair.slice(colon + 1).trim()] as const;
  });
  const principal = text('principal', '');
  const sni = text('sni', '').toLowerCase();
  const says = query.get('tls');
  const tls = says === null ? principal !== '' || sni !== '' : says !== 'false' && says !== '0';
  return {
    listener,
    port,
    destination: address('destination'),
    source: address('source'),
    principal,
    tls,
    sni,
    alpn: text('alpn', tls ? '' : 'http/1.1')
      .split(',')
      .filter(Boolean),
    method: text('method', 'GET'),
    authority: text('authority', ''),
    path,
    headers,
  };
}

/** A caller of whom only the name is known. */
export function peerNamed(principal: string): PeerIdentity | null {
  if (principal === '') return null;
  return {
    principal,
    uriSans: [principal],
    dnsSans: [],
    ipSans: [],
    emailSans: [],
    subject: '',
    issuer: '',
    serial: '',
    fingerprint: '',
    fingerprint1: '',
    validFromMs: 0,
    validToMs: 0,
  };
}
