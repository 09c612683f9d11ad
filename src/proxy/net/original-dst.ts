import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import type { Address } from './connection.ts';
import { ipv6Text } from './proxy-protocol.ts';

/**
 * The destination that a redirected connection was meant for, from the kernel's connection tracking:
 * getsockopt(SO_ORIGINAL_DST) of netfilter, for IPv4 and IPv6. Node has no such call, so it goes through koffi, here only.
 */
const solIp = 0;
const solIpv6 = 41;
const soOriginalDst = 80;

type GetSockOpt = (fd: number, level: number, name: number, value: Buffer, length: Uint32Array) => number;

let getsockopt: GetSockOpt | null = null;
let failure: string | null = null;

function load(): GetSockOpt | null {
  if (getsockopt !== null || failure !== null) return getsockopt;
  if (process.platform !== 'linux' || endianness() !== 'LE') {
    failure = 'the original destination of redirected traffic is known on little-endian Linux only';
    return null;
  }
  const reasons: string[] = [];
  for (const library of ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1']) {
    try {
      const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
      const signature = 'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)';
      getsockopt = koffi.load(library).func(signature) as unknown as GetSockOpt;
      return getsockopt;
    } catch (error) {
      reasons.push(error instanceof Error ? error.message : String(error));
    }
  }
  failure = `koffi cannot call getsockopt, so redirected traffic keeps its local address: ${reasons[0]}`;
  return null;
}

/** Why original destinations cannot be read on this machine, or null when they can. */
export function originalDstFailure(): string | null {
  load();
  return failure;
}

const value = Buffer.alloc(32);
const length = new Uint32Array(1);

function text4(at: number): string {
  return `${value[at]}.${value[at + 1]}.${value[at + 2]}.${value[at + 3]}`;
}

/** Original destination of an accepted socket's descriptor; null when it was not redirected or cannot be asked. */
export function originalDestination(fd: number): Address | null {
  const call = load();
  if (call === null || fd < 0) return null;
  length[0] = 16;
  if (call(fd, solIp, soOriginalDst, value, length) === 0) return { ip: text4(4), port: value.readUInt16BE(2) };
  length[0] = 28;
  if (call(fd, solIpv6, soOriginalDst, value, length) === 0)
    return { ip: ipv6Text(value, 8), port: value.readUInt16BE(2) };
  return null;
}
