import { type HeadLimits, malformed, needMore, parseHead, refusal } from './head.ts';
import { HeaderBlock } from './header-block.ts';

/**
 * Collects a head that arrives in pieces. The common case, a whole head in one read, never comes here twice: `read`
 * parses in place. Otherwise the pieces are kept and parsed again only once the blank line is seen, so that a head sent
 * byte by byte costs no more than its length.
 */
export class HeadReader {
  private readonly request: boolean;
  private kept: Buffer | null = null;
  private keptLength = 0;

  constructor(request: boolean) {
    this.request = request;
  }

  /** Whether part of a head is waiting for the rest. */
  get started(): boolean {
    return this.kept !== null;
  }

  /**
   * Reads from `bytes[start, end)`. Returns how many of these bytes belong to the head when it is complete, or a
   * negative outcome of `parseHead`; with `needMore` all were taken.
   */
  read(block: HeaderBlock, bytes: Buffer, start: number, end: number, limits: HeadLimits): number {
    if (this.kept === null) {
      const length = parseHead(block, bytes, start, end, this.request, limits);
      if (length !== needMore) return length;
      block.clear();
      this.keep(bytes, start, end);
      return needMore;
    }
    const before = this.keptLength;
    const taken = Math.min(end - start, limits.maxBytes + 4 - before);
    this.keep(bytes, start, start + taken);
    // Three bytes back: the blank line may straddle two reads.
    if (before + taken < limits.maxBytes && !this.hasBlankOrBareLine(Math.max(0, before - 3))) return needMore;
    const kept = this.kept;
    const length = parseHead(block, kept, 0, this.keptLength, this.request, limits);
    if (length === needMore) {
      block.clear();
      return needMore;
    }
    this.kept = null;
    this.keptLength = 0;
    return length < 0 ? length : length - before;
  }

  private keep(bytes: Buffer, start: number, end: number): void {
    const length = this.keptLength + (end - start);
    if (this.kept === null || this.kept.length < length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(1024, length * 2));
      if (this.kept !== null) this.kept.copy(larger, 0, 0, this.keptLength);
      this.kept = larger;
    }
    bytes.copy(this.kept, this.keptLength, start, end);
    this.keptLength = length;
  }

  /** Looks for the end of a head, or for a line that ends without CR, which the parser refuses. */
  private hasBlankOrBareLine(from: number): boolean {
    const kept = this.kept!;
    for (let lf = kept.indexOf(10, from); lf >= 0 && lf < this.keptLength; lf = kept.indexOf(10, lf + 1)) {
      if (lf === 0 || kept[lf - 1] !== 13) return true;
      if (lf >= 3 && kept[lf - 2] === 10 && kept[lf - 3] === 13) return true;
    }
    return false;
  }
}

/** Parses a whole head that is at hand; for tests and tools. Throws with the refusal when it is none. */
export function parseWholeHead(bytes: Buffer, request: boolean): HeaderBlock {
  const block = new HeaderBlock();
  const length = parseHead(block, bytes, 0, bytes.length, request, { maxBytes: 65_536, maxFields: 1000 });
  if (length === needMore) throw new Error('the head is not complete');
  if (length <= malformed) throw new Error(`the head is refused: ${refusal.details}`);
  return block;
}
