/** Where tokens lie in a request, and how they are taken out of it (Envoy: jwt_authn, "Extracting JWT"). */
import type { JwtProvider } from '../../config/table.ts';
import type { ActiveExchange } from '../active-exchange.ts';
import type { RequestFacts } from '../facts.ts';
import type { FoundToken } from './jwt-judge.ts';
import { type ParsedToken, parseToken } from './jwt-token.ts';

/** Tokens are read once, and kept by their text. */
const maxKept = 1000;
const maxKeptLength = 8192;
/** A request with more is not looked through further. */
const maxFound = 16;
let kept = new Map<string, ParsedToken>();

function parsed(text: string): ParsedToken {
  let token = kept.get(text);
  if (token !== undefined) return token;
  token = parseToken(text);
  if (text.length <= maxKeptLength) {
    if (kept.size >= maxKept) kept = new Map([...kept].slice(maxKept / 2));
    kept.set(text, token);
  }
  return token;
}

/** Headers first, then parameters, then cookies; the last of them is judged first. */
export function findTokens(facts: RequestFacts, providers: readonly JwtProvider[]): FoundToken[] {
  const found: FoundToken[] = [];
  const seen = new Set<string>();
  for (const { places } of providers)
    for (const { name, prefix } of places.headers) {
      if (seen.has(`${name} ${prefix}`)) continue;
      seen.add(`${name} ${prefix}`);
      const issuers = issuersOf(providers, (one) =>
        one.headers.some((place) => place.name === name && place.prefix === prefix),
      );
      for (const text of tokenTexts(facts, name, prefix))
        if (found.length < maxFound) found.push({ token: parsed(text), issuers, header: name, parameter: '' });
    }
  for (const name of new Set(providers.flatMap(({ places }) => places.parameters))) {
    const text = parameterOf(facts.path, name);
    const issuers = issuersOf(providers, ({ parameters }) => parameters.includes(name));
    if (text !== null) found.push({ token: parsed(text), issuers, header: '', parameter: name });
  }
  for (const name of new Set(providers.flatMap(({ places }) => places.cookies))) {
    const text = cookieOf(facts, name);
    const issuers = issuersOf(providers, ({ cookies }) => cookies.includes(name));
    if (text !== null) found.push({ token: parsed(text), issuers, header: '', parameter: '' });
  }
  return found.reverse();
}

function issuersOf(
  providers: readonly JwtProvider[],
  looksThere: (places: JwtProvider['places']) => boolean,
): ReadonlySet<string> | null {
  const issuers = new Set<string>();
  for (const { places, issuer } of providers) {
    if (!looksThere(places)) continue;
    if (issuer === '') return null;
    issuers.add(issuer);
  }
  return issuers;
}

function tokenTexts(facts: RequestFacts, name: string, prefix: string): string[] {
  const texts: string[] = [];
  for (const value of facts.headerValues(name)) {
    if (prefix === '') {
      texts.push(value);
      continue;
    }
    const at = value.indexOf(prefix);
    if (at < 0) continue;
    const begins = value.slice(at + prefix.length).search(/[\w.-]/);
    texts.push(begins < 0 ? value : value.slice(at + prefix.length + begins));
  }
  return texts;
}

function parameterOf(path: string, name: string): string | null {
  const query = path.indexOf('?');
  return query < 0 ? null : new URLSearchParams(path.slice(query + 1).split('#', 1)[0]).get(name);
}

function cookieOf(facts: RequestFacts, name: string): string | null {
  for (const part of (facts.header('cookie') ?? '').split(/[;,]/)) {
    const cut = part.indexOf('=');
    if (cut > 0 && part.slice(0, cut).trim() === name)
      return part
        .slice(cut + 1)
        .trim()
        .replace(/^"(.*)"$/, '$1');
  }
  return null;
}

/** Takes a token out of the request that goes on. Cookies stay, as with Envoy. */
export function removeToken(exchange: ActiveExchange, { header, parameter }: FoundToken): void {
  if (header !== '') exchange.removeRequestHeader(header);
  if (parameter === '') return;
  const [, path, query, fragment] = /^([^?#]*)(?:\?([^#]*))?(.*)$/.exec(exchange.path) ?? ['', exchange.path, '', ''];
  const rest = (query ?? '').split('&').filter((pair) => decodedName(pair) !== parameter);
  exchange.path = `${path}${rest.length > 0 ? `?${rest.join('&')}` : ''}${fragment}`;
}

function decodedName(pair: string): string {
  const [name] = [...new URLSearchParams(pair).keys()];
  return name ?? '';
}
