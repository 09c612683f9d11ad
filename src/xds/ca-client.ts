/** Asking the control plane's CA for a certificate. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from './gen/istio/v1/auth/ca_pb.js';
import { callUnary, type GrpcTarget } from './grpc/client.ts';

export const createCertificateMethod = '/istio.v1.auth.IstioCertificateService/CreateCertificate';

export interface CertificateRequest {
  /** PEM of a PKCS#10 request; its names do not matter, the caller's token or certificate decides. */
  csr: string;
  validitySeconds: number;
  /** 10 s unless told. */
  timeoutMs?: number;
}

/** Returns PEM certificates, the leaf first, the root last. Throws `GrpcError`. */
export async function requestCertificate(target: GrpcTarget, request: CertificateRequest): Promise<string[]> {
  const { csr, validitySeconds, timeoutMs = 10_000 } = request;
  const message = create(IstioCertificateRequestSchema, { csr, validityDuration: BigInt(validitySeconds) });
  const bytes = toBinary(IstioCertificateRequestSchema, message);
  const answer = await callUnary(target, createCertificateMethod, bytes, { timeoutMs, maxMessageBytes: 1 << 20 });
  return fromBinary(IstioCertificateResponseSchema, answer).certChain;
}
