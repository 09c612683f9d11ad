import test from 'ava';
import { xxHash64 } from './xxhash.ts';

/** From the reference implementation's own self test (xxhsum) and its documentation. */
const known: ReadonlyArray<readonly [text: string, hash: bigint]> = [
  ['', 0xef46db3751d8e999n],
  ['a', 0xd24ec4f1a98c6e5bn],
  ['abc', 0x44bc2cf5ad770999n],
  ['message digest', 0x066ed728fceeb3ben],
  ['abcdefghijklmnopqrstuvwxyz', 0xcfe1f278fa89835cn],
  ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789', 0xaaa46907d3047814n],
];

for (const [text, hash] of known) test(`xxHash64 of ${JSON.stringify(text)}`, (t) => t.is(xxHash64(text), hash));
