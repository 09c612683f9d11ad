/** The smallest module of Proxy-Wasm's ABI 0.2.1 that does something (github.com/proxy-wasm/spec): every answer says `x-wasm: ran`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [i32, code, memory] = [0x7f, 0x00, 0x02];
const text = (value: string): number[] => [value.length, ...Buffer.from(value)];
const list = (each: number[][]): number[] => [each.length, ...each.flat()];
const sized = (content: number[]): number[] => [content.length, ...content];
const section = (id: number, each: number[][]): number[] => [id, ...sized(list(each))];
const signature = (takes: number, gives: number): number[] => [
  ...[0x60, takes, ...new Array<number>(takes).fill(i32)],
  ...[gives, ...new Array<number>(gives).fill(i32)],
];
/** Without locals of its own. */
const body = (...instructions: number[]): number[] => sized([0, ...instructions, 0x0b]);
const constant = (value: number): number[] => [0x41, ...(value < 64 ? [value] : [0x80 | (value & 0x7f), value >> 7])];
const bytes = (offset: number, value: string): number[] => [0, ...constant(offset), 0x0b, ...text(value)];

const [key, value] = ['x-wasm', 'ran'];
const responseHeaders = 2;

const module = [
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, [signature(5, 1), signature(0, 0), signature(1, 1), signature(2, 0), signature(3, 1)]),
  ...section(2, [[...text('env'), ...text('proxy_add_header_map_value'), code, 0]]),
  ...section(3, [[1], [2], [3], [4]]),
  ...section(5, [[0, 1]]),
  ...section(7, [
    [...text('memory'), memory, 0],
    [...text('proxy_abi_version_0_2_1'), code, 1],
    [...text('malloc'), code, 2],
    [...text('proxy_on_context_create'), code, 3],
    [...text('proxy_on_response_headers'), code, 4],
  ]),
  ...section(10, [
    body(),
    body(...constant(1024)),
    body(),
    body(
      ...[responseHeaders, 0, key.length, 16, value.length].flatMap(constant),
      ...[0x10, 0, 0x1a], // call what is imported, drop its answer
      ...constant(0),
    ),
  ]),
  ...section(11, [bytes(0, key), bytes(16, value)]),
];

const folder = mkdtempSync(join(tmpdir(), 'lateen-wasm-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** Where the module lies until the process ends. */
export const wasmFile: string = join(folder, 'module.wasm');
writeFileSync(wasmFile, Buffer.from(module));
