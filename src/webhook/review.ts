/** The API server's question and answer: AdmissionReview, `admission.k8s.io/v1`. */

export interface AdmissionRequest {
  uid: string;
  kind: { group: string; version: string; kind: string };
  operation: string;
  /** Empty for a cluster-scoped object. */
  namespace: string;
  name: string;
  /** Null on DELETE. */
  object: unknown;
  oldObject: unknown;
  dryRun: boolean;
}

export interface AdmissionResponse {
  uid: string;
  allowed: boolean;
  patchType?: 'JSONPatch';
  /** Base64 of the patch in JSON. */
  patch?: string;
  /** `code` is an HTTP status; the API server shows `message` to the user. */
  status?: { code: number; message: string; reason?: string };
  warnings?: string[];
}

export interface AdmissionReview {
  apiVersion: 'admission.k8s.io/v1';
  kind: 'AdmissionReview';
  response: AdmissionResponse;
}

/** The question itself is malformed: the answer is HTTP 400. */
export class ReviewError extends Error {
  override name = 'ReviewError';
}

const version = 'admission.k8s.io/v1';

/** Throws `ReviewError` that names the field. */
export function readReview(body: unknown): AdmissionRequest {
  const review = mapping(body, 'the body');
  if (review.kind !== 'AdmissionReview' || review.apiVersion !== version)
    throw new ReviewError(
      `must be an AdmissionReview of ${version}, is ${JSON.stringify(review.kind)} of ${JSON.stringify(review.apiVersion)}`,
    );
  const request = mapping(review.request, 'request');
  const kind = mapping(request.kind, 'request.kind');
  return {
    uid: text(request.uid, 'request.uid') || missing('request.uid'),
    kind: {
      group: text(kind.group, 'request.kind.group'),
      version: text(kind.version, 'request.kind.version'),
      kind: text(kind.kind, 'request.kind.kind'),
    },
    operation: text(request.operation, 'request.operation'),
    namespace: text(request.namespace, 'request.namespace'),
    name: text(request.name, 'request.name'),
    object: request.object ?? null,
    oldObject: request.oldObject ?? null,
    dryRun: request.dryRun === true,
  };
}

export function answer(response: AdmissionResponse): AdmissionReview {
  return { apiVersion: version, kind: 'AdmissionReview', response };
}

function mapping(value: unknown, field: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ReviewError(`${field} must be a mapping`);
  return value as Record<string, unknown>;
}

function text(value: unknown, field: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw new ReviewError(`${field} must be text`);
  return value;
}

function missing(field: string): never {
  throw new ReviewError(`${field} must be given`);
}
