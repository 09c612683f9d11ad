import type { Redirect, Route } from '../config/table.ts';
import type { RequestFacts } from './facts.ts';

/** The location that a redirecting route answers with (Envoy's RedirectAction). */
export function redirectLocation(
  facts: Pick<RequestFacts, 'scheme' | 'authority' | 'path'>,
  route: Route,
  redirect: Redirect,
): string {
  const scheme = redirect.scheme ?? facts.scheme;
  const queryAt = facts.path.indexOf('?');
  const bare = queryAt < 0 ? facts.path : facts.path.slice(0, queryAt);
  const query = queryAt < 0 || redirect.stripQuery ? '' : facts.path.slice(queryAt);
  const sent = /^(\[.*\]|[^:]*)(?::(\d+))?$/.exec(facts.authority);
  const host = redirect.host ?? sent?.[1] ?? facts.authority;
  // A port that was sent stays, except the one that is the default of the scheme that is left.
  const sentPort = redirect.scheme !== null && redirect.scheme !== facts.scheme ? null : (sent?.[2] ?? null);
  const port = redirect.port ?? (redirect.host === null ? sentPort : null);
  const isDefault =
    port === null || (scheme === 'http' && Number(port) === 80) || (scheme === 'https' && Number(port) === 443);
  let path = bare;
  if (redirect.path !== null) path = redirect.path;
  else if (redirect.regexRewrite !== null) path = redirect.regexRewrite.replace(bare);
  else if (redirect.prefixRewrite !== null) {
    const { match } = route;
    const matched =
      match.path.kind === 'regex' || match.path.kind === 'connect' ? bare.length : match.path.value.length;
    path = redirect.prefixRewrite + bare.slice(matched);
  }
  const own = path.includes('?') ? '' : query;
  return `${scheme}://${host}${isDefault ? '' : `:${port}`}${path}${own}`;
}
