/** Who calls: proven by a Kubernetes service-account token or by a mesh certificate that is still valid. */
import { createHash } from 'node:crypto';
import type { ServerCall } from '../../xds/grpc/server.ts';
import { GrpcError } from '../../xds/grpc/status.ts';
import { type Identity, identityOfUri } from './identity.ts';

/** Resolves to the identity behind a token; throws `GrpcError` `unauthenticated` (or `unavailable` when it could not be asked). */
export type TokenReviewer = (token: string) => Promise<Identity>;

export type Authenticate = (call: Pick<ServerCall, 'token' | 'peer'>) => Promise<Identity>;

/** A certificate, when one is shown, counts before the token: it needs no question to anyone. */
export function authenticator(reviewToken: TokenReviewer | null, trustDomain: string): Authenticate {
  return async ({ token, peer }) => {
    if (peer) {
      const uris = (peer.subjectaltname ?? '').split(', ').filter((name) => name.startsWith('URI:'));
      const identity = uris.length === 1 ? identityOfUri(uris[0].slice('URI:'.length)) : null;
      if (identity?.trustDomain === trustDomain) return identity;
    }
    if (token && reviewToken) return reviewToken(token);
    throw new GrpcError(
      'unauthenticated',
      peer
        ? `the client certificate carries no identity of trust domain ${trustDomain}`
        : 'neither a bearer token nor a valid mesh client certificate was shown',
    );
  };
}

interface Remembered {
  identity: Promise<Identity>;
  untilMs: number;
}

/** Remembers who a token belongs to, so that a proxy's certificate and its discovery cost one review. Refusals are not remembered. */
export function rememberingReviewer(
  review: TokenReviewer,
  { rememberMs = 60_000, maxTokens = 10_000, nowMs = Date.now } = {},
): TokenReviewer {
  const known = new Map<string, Remembered>();
  return (token) => {
    const key = createHash('sha256').update(token).digest('base64');
    const now = nowMs();
    const remembered = known.get(key);
    if (remembered && remembered.untilMs > now) return remembered.identity;
    known.delete(key);
    // The oldest goes first: a Map keeps the order of insertion.
    for (const [oldest, { untilMs }] of known)
      if (untilMs <= now || known.size >= maxTokens) known.delete(oldest);
      else break;
    const identity = review(token);
    known.set(key, { identity, untilMs: now + rememberMs });
    identity.catch(() => known.delete(key));
    return identity;
  };
}
