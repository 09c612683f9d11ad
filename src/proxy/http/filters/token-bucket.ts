import type { TokenBucket } from '../../config/table.ts';

/** Fills evenly, as Envoy's do: a fill's tokens over its interval. */
export class Bucket {
  readonly config: TokenBucket;
  private tokens: number;
  private filledTick: number;

  constructor(config: TokenBucket, now: number) {
    this.config = config;
    this.tokens = config.maxTokens;
    this.filledTick = now;
  }

  private fill(now: number): void {
    const { maxTokens, tokensPerFill, fillMs } = this.config;
    this.tokens = Math.min(maxTokens, this.tokens + ((now - this.filledTick) * tokensPerFill) / fillMs);
    this.filledTick = now;
  }

  /** Takes a token; false when there is none. */
  take(now: number): boolean {
    this.fill(now);
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }

  get left(): number {
    return Math.floor(this.tokens);
  }

  /** Until there is a token, whole seconds. */
  get secondsToNext(): number {
    const { tokensPerFill, fillMs } = this.config;
    return this.tokens >= 1 ? 0 : Math.ceil(((1 - this.tokens) * fillMs) / tokensPerFill / 1000);
  }

  get tokensPerSecond(): number {
    return (this.config.tokensPerFill * 1000) / this.config.fillMs;
  }
}

const buckets = new WeakMap<TokenBucket, Bucket>();
const ofConnections = new WeakMap<object, WeakMap<TokenBucket, Bucket>>();

/** The bucket of a configuration, for all or for one connection. It lives as long as both: a push that changes it starts anew. */
export function bucketOf(config: TokenBucket, connection: object | null, now: number): Bucket {
  let held = buckets;
  if (connection !== null) {
    held = ofConnections.get(connection) ?? new WeakMap();
    ofConnections.set(connection, held);
  }
  let bucket = held.get(config);
  if (bucket === undefined) {
    bucket = new Bucket(config, now);
    held.set(config, bucket);
  }
  return bucket;
}
