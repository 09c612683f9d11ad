import { randomFillSync } from 'node:crypto';

/** Random bytes are fetched for this many identifiers at a time. */
const batch = 256;
const random = Buffer.allocUnsafeSlow(batch * 16);
let at = random.length;
const text = Buffer.allocUnsafeSlow(36).fill('-');
const digits = Buffer.from('0123456789abcdef');
/** Where each byte's two digits go in `xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`. */
const places = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/** A random UUID (RFC 9562 §5.4), as one flat string: `randomUUID` joins twenty, which writing them has to undo. */
export function makeRequestId(): string {
  if (at === random.length) {
    randomFillSync(random);
    at = 0;
  }
  for (let i = 0; i < 16; i++) {
    let byte = random[at + i];
    if (i === 6) byte = (byte & 0x0f) | 0x40;
    else if (i === 8) byte = (byte & 0x3f) | 0x80;
    text[places[i]] = digits[byte >> 4];
    text[places[i] + 1] = digits[byte & 15];
  }
  at += 16;
  return text.toString('latin1');
}
