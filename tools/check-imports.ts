/** Holds the house's import table (docs/architecture.md): who may import whom. Exits 1 with one line for each breach. */
import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative } from 'node:path';

const top = join(import.meta.dirname, '..');

interface Room {
  /** Folders below src/ that it may import, besides itself. */
  rooms: string[];
  /** Packages that it may import. */
  packages: string[];
}

const house: Record<string, Room> = {
  lib: { rooms: [], packages: ['re2js'] },
  api: { rooms: ['lib'], packages: [] },
  xds: { rooms: ['lib'], packages: ['@bufbuild/protobuf'] },
  kube: { rooms: ['lib', 'api'], packages: ['@kubernetes/client-node', 'kubernetes-models', 'ws', 'yaml'] },
  iptables: { rooms: ['lib'], packages: [] },
  operator: {
    rooms: ['kube', 'api', 'lib'],
    packages: ['kubernetes-models', '@kubernetes-models/cert-manager', '@kubernetes-models/base', 'yaml', 'pino'],
  },
  webhook: { rooms: ['kube', 'api', 'lib'], packages: ['fastify', 'fast-json-patch', 'yaml', 'pino'] },
  control: {
    rooms: ['kube', 'api', 'xds', 'lib', 'webhook'],
    packages: ['@bufbuild/protobuf', '@peculiar/x509', 'reflect-metadata', 'jose', 'fastify', 'yaml', 'pino'],
  },
  proxy: {
    rooms: ['xds', 'lib'],
    packages: ['@bufbuild/protobuf', '@peculiar/x509', 'jose', 'koffi', 'yaml'],
  },
  up: { rooms: ['api', 'cli', 'control', 'kube', 'lib', 'operator', 'webhook', 'xds'], packages: ['yaml'] },
  cli: {
    rooms: ['api', 'kube', 'lib', 'up', 'operator', 'webhook', 'control', 'proxy', 'xds'],
    packages: ['yaml', '@bufbuild/protobuf'],
  },
};

/** Rooms within a room that must stay free of the rest: pure model, translation and decisions. */
const pure: Array<{ folder: string; mayNot: RegExp; why: string }> = [
  { folder: 'control/model', mayNot: /^src\/(kube|webhook|proxy)\//, why: 'the model knows no Kubernetes client' },
  {
    folder: 'control/envoy-filter',
    mayNot: /^src\/(kube|webhook|proxy)\//,
    why: 'patches are applied without a Kubernetes client',
  },
  {
    folder: 'control/gateway-api',
    mayNot: /^src\/(kube|webhook|proxy)\//,
    why: 'the Gateway API is read without a Kubernetes client',
  },
  {
    folder: 'control/translate',
    mayNot: /^src\/(kube|webhook|proxy)\//,
    why: 'the translation knows no Kubernetes client',
  },
];

const breaches: string[] = [];
const importing =
  /(?:^|[\s;])(?:import|export)\b[^'"`;]*?from\s*['"]([^'"]+)['"]|\bimport\s*\(\s*['"]([^'"]+)['"]|^import\s*['"]([^'"]+)['"]/gm;

for (const entry of readdirSync(join(top, 'src'), { recursive: true, withFileTypes: true })) {
  const path = relative(top, join(entry.parentPath, entry.name));
  if (!path.endsWith('.ts') || path.startsWith('src/xds/gen') || dirname(path) === 'src') continue;
  const folder = path.split('/')[1];
  const room = house[folder];
  if (!room) {
    breaches.push(
      `${path}: the house has no room src/${folder}; add it to tools/check-imports.ts and docs/architecture.md`,
    );
    continue;
  }
  const isTest = /\.test\.ts$|\/testing\//.test(path);
  for (const match of readFileSync(join(top, path), 'utf8').matchAll(importing)) {
    const target = match[1] ?? match[2] ?? match[3];
    if (isBuiltin(target)) continue;
    if (target.startsWith('.')) {
      const file = relative(top, join(dirname(join(top, path)), target));
      const other = file.startsWith('src/') ? file.split('/')[1] : null;
      for (const rule of pure)
        if (!isTest && path.startsWith(`src/${rule.folder}/`) && rule.mayNot.test(file))
          breaches.push(`${path}: imports ${file}; ${rule.why}`);
      if (isTest || other === folder) continue;
      if (!other || !room.rooms.includes(other)) breaches.push(`${path}: src/${folder} may not import ${file}`);
    } else if (!isTest) {
      const name = target
        .split('/')
        .slice(0, target.startsWith('@') ? 2 : 1)
        .join('/');
      if (!room.packages.includes(name)) breaches.push(`${path}: src/${folder} may not import the package ${name}`);
    }
  }
}
for (const breach of breaches) console.error(breach);
if (breaches.length > 0) process.exitCode = 1;
