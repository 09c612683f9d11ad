/** Which bytes may stand where in HTTP, as tables of 0 and 1. */

/** RFC 9110 §5.6.2. */
export const tokenByte: Uint8Array = new Uint8Array(256);
for (const byte of Buffer.from("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
  tokenByte[byte] = 1;

/** Field values: visible, space, tab and obs-text (RFC 9110 §5.5). */
export const valueByte: Uint8Array = new Uint8Array(256).fill(1, 32).fill(0, 127, 128);
valueByte[9] = 1;

/** Request targets: no space, no control character, no fragment, nothing beyond ASCII (RFC 3986 §2). */
export const targetByte: Uint8Array = new Uint8Array(256).fill(1, 33, 127);
targetByte[35] = 0;
