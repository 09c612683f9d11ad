/** The Huffman code of HPACK (RFC 7541 appendix B). It is canonical: its lengths alone say what every code is. */

/** Lengths in bits of the codes of 0–255 and EOS, equal neighbours as `LENGTHxCOUNT`. */
const lengths =
  `13 23 28x7 24 30 28x2 30 28x8 30 28x9 6 10x2 12 13 6 8 11 10x2 8 11 8 6x3 5x3 6x7 7 8 15 6 12 10 13 6 7x22 8 7 8 13 19 13
  14 6 15 5 6 5 6 5 6x3 5 7x2 6x3 5 6 7 6 5x2 6 7x5 15 11 14 13 28 20 22 20x2 22x3 23 22 23x5 24 23 24x2 22 23 24 23x4 21 22
  23 22 23x2 24 22 21 20 22x2 23x2 21 23 22x2 24 21 22 23x2 21x2 22 21 23 22 23x2 20 22x3 23 22x2 23 26x2 20 19 22 23 22 25
  26x3 27x2 26 24 25 19 21 26 27x2 26 27 24 21x2 26x2 28 27x3 20 24 20 21 22 21x2 23 22x2 25x2 24x2 26 23 26 27 26x2 27x5 28
  27x5 26 30`
    .trim()
    .split(/\s+/)
    .flatMap((run) => {
      const [length, count = '1'] = run.split('x');
      return new Array<number>(Number(count)).fill(Number(length));
    });

const endOfString = 256;
const bad = 0xffff;

/**
 * Read four bits at a time: `next[state << 4 | nibble]` is the state after them, `symbols[…]` the byte that ended within
 * them (no code is shorter than five bits, so there is one at most), or -1. `mayEnd[state]` tells that what is left over is
 * padding: fewer than eight bits, all of them 1 (RFC 7541 §5.2).
 */
const next: Uint16Array = new Uint16Array(256 * 16);
const symbols: Int16Array = new Int16Array(256 * 16).fill(-1);
const mayEnd: Uint8Array = new Uint8Array(256);

function build(): void {
  // A binary tree: children of node n at 2n and 2n + 1; ≥ 0 is a node, below it a symbol.
  const children: number[] = [Number.NaN, Number.NaN];
  const order = lengths.map((_, symbol) => symbol).sort((a, b) => lengths[a] - lengths[b] || a - b);
  let code = 0;
  let length = 0;
  for (const symbol of order) {
    code *= 2 ** (lengths[symbol] - length);
    length = lengths[symbol];
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const side = Math.floor(code / 2 ** bit) & 1;
      let child = children[node * 2 + side];
      if (Number.isNaN(child)) {
        child = children.length / 2;
        children[node * 2 + side] = child;
        children.push(Number.NaN, Number.NaN);
      }
      node = child;
    }
    children[node * 2 + (code & 1)] = -1 - symbol;
    code++;
  }
  for (let state = 0; state < 256; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = state;
      const place = (state << 4) | nibble;
      for (let bit = 3; bit >= 0 && node !== bad; bit--) {
        const child = children[node * 2 + ((nibble >> bit) & 1)];
        if (child >= 0) node = child;
        else if (child === -1 - endOfString) node = bad;
        else {
          symbols[place] = -1 - child;
          node = 0;
        }
      }
      next[place] = node;
    }
  }
  for (let node = 0, depth = 0; depth < 8; depth++) {
    mayEnd[node] = 1;
    node = children[node * 2 + 1];
  }
}
build();

/** Most bytes that so many encoded ones can stand for. */
export function huffmanBound(encodedBytes: number): number {
  return Math.floor((encodedBytes * 8) / 5) + 1;
}

/** Decodes `bytes[start, end)` into `into` at `at`, which has room; returns where it ended, or -1 for what is no such code. */
export function huffmanDecode(bytes: Uint8Array, start: number, end: number, into: Uint8Array, at: number): number {
  let state = 0;
  let out = at;
  for (let i = start; i < end; i++) {
    const byte = bytes[i];
    let place = (state << 4) | (byte >> 4);
    if (symbols[place] >= 0) into[out++] = symbols[place];
    state = next[place];
    if (state === bad) return -1;
    place = (state << 4) | (byte & 15);
    if (symbols[place] >= 0) into[out++] = symbols[place];
    state = next[place];
    if (state === bad) return -1;
  }
  return mayEnd[state] === 1 ? out : -1;
}
