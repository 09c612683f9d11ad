/** The workload's certificate: asked for at the start, renewed at half of its life, held under the names `default` and `ROOTCA`. */
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { requestCertificate } from '../../xds/ca-client.ts';
import type { GrpcTarget } from '../../xds/grpc/client.ts';
import type { SecretStore } from '../config/secret-store.ts';
import type { Log } from '../telemetry/log.ts';
import { certificateRequest } from './csr.ts';

export interface CertificateOptions {
  ca: GrpcTarget;
  /** `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`; the CA decides by the token, not by this. */
  identity: string;
  /** File of the mesh's roots, read again when it changes. */
  rootsPath: string;
  validitySeconds: number;
  secrets: SecretStore;
  log: Log;
  /** First and longest pause after a refusal; 200 ms and 15 s unless told. */
  firstBackoffMs?: number;
  maxBackoffMs?: number;
}

export interface WorkloadCertificate {
  /** Resolves when the first certificate is in use. */
  readonly arrived: Promise<void>;
  readonly expiresAtMs: number | null;
  /** Chain and key in PEM, null before the first. */
  readonly current: { chain: string; key: string } | null;
  stop(): void;
}

/** Setting a timer further ahead than this fires at once. */
const maxTimerMs = 2 ** 31 - 1;
/** How often the file of the roots is looked at. */
const rootsCheckMs = 15_000;

export function keepCertificate(options: CertificateOptions): WorkloadCertificate {
  const { secrets, log, firstBackoffMs = 200, maxBackoffMs = 15_000 } = options;
  const arrival = Promise.withResolvers<void>();
  let timer: NodeJS.Timeout | null = null;
  let backoffMs = firstBackoffMs;
  let stopped = false;
  let current: WorkloadCertificate['current'] = null;
  let expiresAtMs: number | null = null;
  let issuedRoot = '';
  let fileRoots = readRoots(options.rootsPath);

  const watch = setInterval(() => {
    const roots = readRoots(options.rootsPath);
    if (roots === fileRoots || roots === '') return;
    fileRoots = roots;
    log.info('the mesh roots have changed');
    trust();
  }, rootsCheckMs).unref();

  /** The roots of the file and the one that came with the certificate: during a rotation both are in use. */
  function trust(): void {
    const roots = uniqueCertificates(`${fileRoots}\n${issuedRoot}`);
    if (roots !== '') secrets.set('ROOTCA', { kind: 'trust', roots: Buffer.from(roots) });
  }

  async function renew(): Promise<void> {
    try {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const csr = certificateRequest(pair, options.identity);
      const chain = await requestCertificate(options.ca, { csr, validitySeconds: options.validitySeconds });
      if (stopped) return;
      use(chain, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
      backoffMs = firstBackoffMs;
    } catch (error) {
      if (stopped) return;
      log.warn(`certificate: ${(error as Error).message}; asking again in ${Math.round(backoffMs)} ms`);
      schedule(backoffMs / 2 + Math.random() * (backoffMs / 2));
      backoffMs = Math.min(maxBackoffMs, backoffMs * 2);
    }
  }

  function use(chain: string[], key: string): void {
    if (chain.length === 0) throw new Error('the CA answered without a certificate');
    const leaf = new X509Certificate(chain[0]);
    issuedRoot = chain.length > 1 ? chain[chain.length - 1] : '';
    const shown = (chain.length > 1 ? chain.slice(0, -1) : chain).map((pem) => pem.trim()).join('\n');
    secrets.set('default', { kind: 'certificate', chain: Buffer.from(`${shown}\n`), key: Buffer.from(key) });
    trust();
    current = { chain: `${shown}\n`, key };
    expiresAtMs = Date.parse(leaf.validTo);
    const lifeMs = expiresAtMs - Date.now();
    // A little to either side, so that the pods of one rollout do not renew together.
    const renewInMs = Math.max(1000, lifeMs * (0.5 + (Math.random() - 0.5) * 0.02));
    log.info(`certificate for ${leaf.subjectAltName ?? options.identity} until ${new Date(expiresAtMs).toISOString()}`);
    schedule(renewInMs);
    arrival.resolve();
  }

  function schedule(inMs: number): void {
    timer = setTimeout(() => void renew(), Math.min(maxTimerMs, inMs));
    if (current) timer.unref();
  }

  trust();
  void renew();
  return {
    arrived: arrival.promise,
    get expiresAtMs() {
      return expiresAtMs;
    },
    get current() {
      return current;
    },
    stop() {
      stopped = true;
      clearInterval(watch);
      if (timer) clearTimeout(timer);
    },
  };
}

function readRoots(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** The certificates of a bundle, each once, in their order. */
export function uniqueCertificates(bundle: string): string {
  const seen = new Set<string>();
  const kept: string[] = [];
  for (const [pem] of bundle.matchAll(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g)) {
    const digest = createHash('sha256').update(pem.replace(/\s/g, '')).digest('base64');
    if (seen.has(digest)) continue;
    seen.add(digest);
    kept.push(`${pem}\n`);
  }
  return kept.join('');
}
