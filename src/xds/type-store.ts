/** What a client holds of one resource type; it outlives connections. */
import type { Rejection, XdsUpdate } from './ads-client.ts';
import { isWildcardType, type XdsArrivals, type XdsType } from './type-urls.ts';

const maxReasonLength = 500;

export class TypeStore {
  readonly type: XdsType;
  /** Names asked for; unused for types that are asked for as a whole. */
  wanted: ReadonlySet<string> = new Set();
  /** Whether a type that is asked for as a whole is asked for: NDS only by those who answer DNS. */
  isWhole: boolean;
  /** Version by name of what was accepted and still holds. */
  readonly held = new Map<string, string>();
  /** Names that the server has sent, refused ones too, or called missing. */
  readonly answered = new Set<string>();
  hasAnswer = false;
  version = '';
  accepted = 0;
  rejected = 0;
  lastRejection: string | null = null;

  constructor(type: XdsType) {
    this.type = type;
    this.isWhole = isWildcardType(type) && type !== 'nameTable';
  }

  get isSubscribed(): boolean {
    return this.isWhole || this.wanted.size > 0;
  }

  get pending(): string[] {
    if (isWildcardType(this.type)) return this.hasAnswer || !this.isWhole ? [] : ['*'];
    return [...this.wanted].filter((name) => !this.answered.has(name));
  }

  /** Replaces the names; returns what came and what went. */
  want(names: Iterable<string>): { added: string[]; dropped: string[] } {
    const before = this.wanted;
    this.wanted = new Set(names);
    const added = [...this.wanted].filter((name) => !before.has(name));
    const dropped = [...before].filter((name) => !this.wanted.has(name));
    for (const name of dropped) {
      this.held.delete(name);
      this.answered.delete(name);
    }
    return { added, dropped };
  }

  /**
   * Hands a response's changes to `onUpdate` and keeps what was accepted. Returns the reason to refuse the response, or null.
   * `unreadable` are resources that could not be decoded.
   */
  take(
    changed: ReadonlyMap<string, { version: string; message: XdsArrivals[XdsType] }>,
    removed: readonly string[],
    unreadable: readonly Rejection[],
    version: string,
    onUpdate: (update: XdsUpdate) => readonly Rejection[],
  ): string | null {
    const news = new Map(
      [...changed].filter(([name, { version }]) => version === '' || this.held.get(name) !== version),
    );
    const gone = removed.filter((name) => this.held.has(name));
    const rejections = [...unreadable];
    let whole: string | null = null;
    if (news.size > 0 || gone.length > 0) {
      const messages = new Map([...news].map(([name, { message }]) => [name, message]));
      try {
        rejections.push(...onUpdate({ type: this.type, changed: messages, removed: gone } as XdsUpdate));
      } catch (error) {
        whole = error instanceof Error ? error.message : String(error);
      }
      // A reason that names nothing of this update can only mean all of it.
      whole ??= rejections.find(({ name }) => !isNamed(name, news, gone, unreadable))?.reason ?? null;
    }
    const refused = new Set(rejections.map(({ name }) => name));
    if (whole === null) {
      for (const [name, { version }] of news) if (!refused.has(name)) this.held.set(name, version);
      for (const name of gone) if (!refused.has(name)) this.held.delete(name);
    }
    for (const name of changed.keys()) this.answered.add(name);
    for (const { name } of unreadable) this.answered.add(name);
    for (const name of removed) this.answered.add(name);
    this.hasAnswer = true;

    const reasons = whole === null ? rejections.map(({ name, reason }) => `${name}: ${reason}`) : [whole];
    if (reasons.length === 0) {
      this.accepted++;
      this.version = version;
      return null;
    }
    this.rejected++;
    this.lastRejection = reasons
      .map((reason) => reason.slice(0, maxReasonLength))
      .slice(0, 20)
      .join('; ');
    return this.lastRejection;
  }
}

function isNamed(
  name: string,
  news: ReadonlyMap<string, unknown>,
  gone: readonly string[],
  unreadable: readonly Rejection[],
): boolean {
  return news.has(name) || gone.includes(name) || unreadable.some((each) => each.name === name);
}
