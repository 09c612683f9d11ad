/** The images that the suite's manifests ask for, by the names that they have there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../e2e/cluster/command.ts';
import { cacheFolder } from '../e2e/local/folders.ts';
import { type Image, writeArchive } from '../tools/image/archive.ts';
import type { TarEntry } from '../tools/image/tar.ts';
import { type Programs, suiteFolder } from './programs.ts';

/** Every image in the suite's manifests. */
async function references(): Promise<string[]> {
  const list = ['go', 'list', '-m', '-f', '{{.Dir}}', 'sigs.k8s.io/gateway-api/conformance'];
  const folder = (await run(list, { cwd: suiteFolder })).trim();
  const found = await run(['grep', '-rhoE', 'registry\\.k8s\\.io/[a-z/-]+:[A-Za-z0-9.-]+', ...manifests(folder)]);
  return [...new Set(found.trim().split('\n'))].sort();
}

const manifests = (folder: string): string[] => ['base', 'mesh', 'tests'].map((name) => join(folder, name));

/** For the TLS ports of `echo-advanced`; nobody checks it. */
async function selfSigned(): Promise<TarEntry[]> {
  const folder = join(cacheFolder, 'conformance-certificate');
  await run(['mkdir', '-p', folder]);
  const [key, certificate] = ['key', 'crt'].map((name) => join(folder, `cert.${name}`));
  const subject = ['-subj', '/CN=echo', '-days', '3650', '-nodes'];
  await run([
    'sh',
    '-c',
    `test -e ${certificate} || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -keyout ${key} -out ${certificate} ${subject.join(' ')}`,
  ]);
  return [key, certificate].map((file) => ({
    type: 'file',
    path: file.slice(folder.length + 1),
    mode: 0o644,
    content: readFileSync(file),
  }));
}

/** Returns the archive's path in the cache folder. */
export async function buildSuiteImages(programs: Programs): Promise<string> {
  const named = await references();
  const of = (name: string) => named.filter((reference) => reference.includes(`/${name}:`));
  const program = (source: string, path: string): TarEntry => ({ type: 'copy', path, mode: 0o755, source });
  const images: Image[] = [
    {
      references: of('echo-basic'),
      layers: [[program(programs.echoBasic, 'echo-basic')]],
      config: { Entrypoint: ['/echo-basic'], User: '1000:1000' },
    },
    {
      references: of('echo-advanced'),
      // `client` is what the mesh tests run in it.
      layers: [
        [
          program(programs.echoAdvanced, 'usr/local/bin/server'),
          { type: 'symlink', path: 'usr/local/bin/client', target: 'server' },
          ...(await selfSigned()),
        ],
      ],
      config: { Entrypoint: ['/usr/local/bin/server'], Env: ['PATH=/usr/local/bin'], User: '1000:1000' },
    },
    {
      references: of('coredns'),
      layers: [[program(programs.coreDns, 'coredns')]],
      config: { Entrypoint: ['/coredns'] },
    },
  ];
  return writeArchive(cacheFolder, 'conformance', images);
}
