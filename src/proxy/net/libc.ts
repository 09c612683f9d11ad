/** Calls of the C library that Node does not have, through koffi. */
import { createRequire } from 'node:module';
import { endianness } from 'node:os';

export interface LibC {
  getsockopt(fd: number, level: number, name: number, value: Buffer, length: Uint32Array): number;
  /** Bytes from an address on, and what becomes of them (madvise(2)). */
  madvise(from: bigint, length: number, advice: number): number;
  /** Gives free memory back to the system; musl has no such call. */
  mallocTrim: ((pad: number) => number) | null;
}

let calls: LibC | null = null;
let failure: string | null = null;

/** Null when this machine cannot make them: `libcFailure` says why. Loaded when they are first asked for. */
export function libc(): LibC | null {
  if (calls !== null || failure !== null) return calls;
  if (process.platform !== 'linux' || endianness() !== 'LE') {
    failure = 'they are known on little-endian Linux only';
    return null;
  }
  const reasons: string[] = [];
  for (const name of ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1']) {
    try {
      const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
      const library = koffi.load(name);
      const bind = <F>(declaration: string) => library.func(declaration) as unknown as F;
      calls = {
        getsockopt: bind('int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)'),
        madvise: bind('int madvise(void *from, size_t length, int advice)'),
        mallocTrim: name === 'libc.so.6' ? bind('int malloc_trim(size_t pad)') : null,
      };
      return calls;
    } catch (error) {
      reasons.push(error instanceof Error ? error.message : String(error));
    }
  }
  failure = `koffi cannot call the C library: ${reasons[0]}`;
  return null;
}

export function libcFailure(): string | null {
  libc();
  return failure;
}
