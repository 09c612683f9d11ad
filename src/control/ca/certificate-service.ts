/** `istio.v1.auth.IstioCertificateService`: signs the caller's key for the caller's identity. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createCertificateMethod } from '../../xds/ca-client.ts';
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from '../../xds/gen/istio/v1/auth/ca_pb.js';
import { type GrpcMethod, unaryMethod } from '../../xds/grpc/server.ts';
import { GrpcError } from '../../xds/grpc/status.ts';
import { type Authority, CsrError } from './authority.ts';
import type { Authenticate } from './caller.ts';
import { type Identity, uriOf } from './identity.ts';

export interface CertificateServiceOptions {
  authority(): Authority;
  authenticate: Authenticate;
  /** For each identity: so many at once, then one every `refillMs`. */
  burst?: number;
  refillMs?: number;
  onSigned?(identity: Identity): void;
  onRefused?(reason: string, remote: string): void;
  nowMs?(): number;
}

export function certificateService(options: CertificateServiceOptions): { [path: string]: GrpcMethod } {
  const limit = identityLimit(options);
  const createCertificate = unaryMethod(async (bytes, call) => {
    try {
      const identity = await options.authenticate(call);
      if (!limit(uriOf(identity)))
        throw new GrpcError('resourceExhausted', `too many certificates asked for ${uriOf(identity)}; try again later`);
      const { csr, validityDuration } = readRequest(bytes);
      const certChain = await options.authority().signWorkload(csr, identity, Number(validityDuration));
      options.onSigned?.(identity);
      return toBinary(IstioCertificateResponseSchema, create(IstioCertificateResponseSchema, { certChain }));
    } catch (error) {
      options.onRefused?.((error as Error).message, call.remote);
      throw error instanceof CsrError ? new GrpcError('invalidArgument', `csr: ${error.message}`) : error;
    }
  });
  return { [createCertificateMethod]: createCertificate };
}

function readRequest(bytes: Buffer) {
  try {
    return fromBinary(IstioCertificateRequestSchema, bytes);
  } catch (error) {
    throw new GrpcError('invalidArgument', `not a certificate request: ${(error as Error).message}`);
  }
}

/** A token bucket an identity; buckets that are full again are forgotten. */
function identityLimit({ burst = 100, refillMs = 100, nowMs = Date.now }: CertificateServiceOptions) {
  const used = new Map<string, { count: number; atMs: number }>();
  const maxIdentities = 50_000;
  return (key: string): boolean => {
    const now = nowMs();
    const bucket = used.get(key);
    const left = bucket ? Math.max(0, bucket.count - (now - bucket.atMs) / refillMs) : 0;
    if (left + 1 > burst) return false;
    used.delete(key);
    used.set(key, { count: left + 1, atMs: now });
    for (const [oldest, { count, atMs }] of used)
      if (used.size > maxIdentities || count - (now - atMs) / refillMs <= 0) used.delete(oldest);
      else break;
    return true;
  };
}
