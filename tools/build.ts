/** `npm run build`: every program's bundle in dist/, and its size; with `--images`, also the images' archives. */

import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { bundlePrograms } from './bundle.ts';
import { buildLateenImage, buildTestImages } from './image/catalogue.ts';

const top = join(import.meta.dirname, '..');

function kib(bytes: number): string {
  return `${(bytes / 1024).toFixed(0).padStart(6)} KiB`;
}

for (const { file, bytes } of await bundlePrograms(join(top, 'dist')))
  console.log(
    `${relative(top, file).padEnd(20)} ${kib(bytes)}  (gzip ${kib(gzipSync(readFileSync(file)).length).trim()})`,
  );
if (process.argv.includes('--images')) {
  console.log(await buildLateenImage());
  console.log(await buildTestImages());
}
