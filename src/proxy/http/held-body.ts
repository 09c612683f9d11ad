/** Part of a request's body that is kept: until there is a connection for it, or for as long as it may be sent again. */
export class HeldBody {
  readonly pieces: Buffer[] = [];
  bytes = 0;

  add(source: Buffer, start: number, end: number): void {
    this.pieces.push(Buffer.from(source.subarray(start, end)));
    this.bytes += end - start;
  }
}
