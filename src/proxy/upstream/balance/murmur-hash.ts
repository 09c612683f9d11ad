/** MurmurHash64A by Austin Appleby with the seed of libstdc++'s std::hash, which Envoy's MURMUR_HASH_2 is. Unsigned, 64 bits. */
const mask = (1n << 64n) - 1n;
const multiplier = (0xc6a4a793n << 32n) + 0x5bd1e995n;
const seed = 0xc70f6907n;

const mix = (value: bigint): bigint => value ^ (value >> 47n);

export function murmurHash2(text: string): bigint {
  const bytes = Buffer.from(text);
  const aligned = bytes.length & ~7;
  let hash = seed ^ ((BigInt(bytes.length) * multiplier) & mask);
  for (let at = 0; at < aligned; at += 8) {
    const word = (mix((bytes.readBigUInt64LE(at) * multiplier) & mask) * multiplier) & mask;
    hash = ((hash ^ word) * multiplier) & mask;
  }
  if (bytes.length > aligned) {
    let rest = 0n;
    for (let i = bytes.length - 1; i >= aligned; i--) rest = (rest << 8n) | BigInt(bytes[i]);
    hash = ((hash ^ rest) * multiplier) & mask;
  }
  return mix((mix(hash) * multiplier) & mask);
}
