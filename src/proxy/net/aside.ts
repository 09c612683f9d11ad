/** Buffers for bytes that wait for the end of a turn while other transports use the output buffer. */
export const asideBytes = 32_768;
const maxSpare = 16;
const spare: Buffer[] = [];

export function takeAside(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(asideBytes);
}

/** Only one that nothing reads any more. */
export function returnAside(buffer: Buffer): void {
  if (spare.length < maxSpare) spare.push(buffer);
}
