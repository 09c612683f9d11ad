/** What the API server said when it refused, as a Kubernetes `Status` object tells it. */
export class ApiError extends Error {
  /** HTTP status code, 0 when no answer came (connection refused, reset, timed out). */
  readonly code: number;
  /** The `Status` object's reason (`NotFound`, `Conflict`, `Invalid`, …) or the system's error code (`ECONNREFUSED`). */
  readonly reason: string;
  /** What the server asked to wait before the next try, if it did. */
  readonly retryAfterMs: number | null;

  constructor(request: string, code: number, reason: string, message: string, retryAfterMs: number | null = null) {
    super(`${request}: ${message} (${code === 0 ? reason : `${code} ${reason}`})`);
    this.name = 'ApiError';
    this.code = code;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

export const isNotFound = (error: unknown): boolean => error instanceof ApiError && error.code === 404;
export const isConflict = (error: unknown): boolean => error instanceof ApiError && error.code === 409;
/** The resource version, or the continue token, is older than the server remembers. */
export const isExpired = (error: unknown): boolean => error instanceof ApiError && error.code === 410;
