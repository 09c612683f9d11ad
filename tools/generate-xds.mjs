// Makes src/xds/gen/ (TypeScript messages) from Envoy's .proto files, which the npm package @grpc/grpc-js-xds
// carries, and from src/xds/proto/ (what Envoy's files do not have).
// Validation options are dropped first: the bundled validate.proto is older than the files that use it,
// and the checks that matter here are made with better messages when a resource is compiled.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

const top = join(import.meta.dirname, '..');
const deps = join(top, 'node_modules/@grpc/grpc-js-xds/deps');
const roots = [join(top, 'src/xds/proto'), ...['envoy-api', 'xds', 'googleapis'].map((d) => join(deps, d))];
const out = join(top, 'src/xds/gen');

/** The files that are spoken; what they import comes along. */
const wanted = readFileSync(join(top, 'src/xds/messages.txt'), 'utf8')
  .split('\n')
  .map((line) => line.replace(/#.*/, '').trim())
  .filter(Boolean);

const dropped =
  /^(validate\/|udpa\/annotations|xds\/annotations|envoy\/annotations|google\/api\/(?!expr)|opencensus\/)/;

function find(file) {
  for (const root of roots) if (existsSync(join(root, file))) return join(root, file);
  throw new Error(`${file}: not found under ${roots.map((r) => relative(top, r)).join(', ')}`);
}

const token = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^"'/[\]]+|[\s\S]/g;

/** Blanks bracketed field options and statement options; strings and comments are skipped whole. */
function withoutOptions(text) {
  let depth = 0;
  const kept = [];
  for (const [part] of text.matchAll(token)) {
    if (part === '[') depth++;
    else if (part === ']') depth--;
    else if (depth === 0) kept.push(part);
  }
  return kept.join('').replace(/^\s*option\s+(?:\([^)]*\)[\w.]*|deprecated|java_\w+|go_package)\s*=[^;]*;\s*$/gm, '');
}

function strip(text) {
  const bare = withoutOptions(text);
  return bare.replace(/^import\s+(?:public\s+)?"([^"]+)";\s*$/gm, (line, file) => (dropped.test(file) ? '' : line));
}

/** `registry.js`: every message that may stand in an `Any` of a bootstrap file or a dump. */
function writeRegistry(folder) {
  const names = wanted.map((file) => {
    const bare = file.replace(/\.proto$/, '');
    return { name: `file_${bare.replaceAll(/[/.-]/g, '_')}`, path: `./${bare}_pb.js` };
  });
  const imports = names.map(({ name, path }) => `import { ${name} } from '${path}';`).join('\n');
  writeFileSync(
    join(folder, 'registry.js'),
    `import { createRegistry } from '@bufbuild/protobuf';\n${imports}\nexport const registry = createRegistry(${names.map(({ name }) => name).join(', ')});\n`,
  );
  writeFileSync(
    join(folder, 'registry.d.ts'),
    "import type { FileRegistry } from '@bufbuild/protobuf';\nexport declare const registry: FileRegistry;\n",
  );
}

const work = mkdtempSync(join(tmpdir(), 'lateen-xds-'));
try {
  const seen = new Set();
  const queue = [...wanted];
  for (let file = queue.pop(); file; file = queue.pop()) {
    if (seen.has(file) || file.startsWith('google/protobuf/')) continue;
    seen.add(file);
    const text = strip(readFileSync(find(file), 'utf8'));
    mkdirSync(dirname(join(work, 'proto', file)), { recursive: true });
    writeFileSync(join(work, 'proto', file), text);
    for (const match of text.matchAll(/^import\s+(?:public\s+)?"([^"]+)";/gm)) queue.push(match[1]);
  }
  writeFileSync(join(work, 'buf.yaml'), 'version: v2\nmodules:\n  - path: proto\n');
  writeFileSync(
    join(work, 'buf.gen.yaml'),
    JSON.stringify({
      version: 'v2',
      // buf's default strategy starts the plug-in once for every directory, half a second each.
      plugins: [
        {
          local: join(top, 'node_modules/.bin/protoc-gen-es'),
          strategy: 'all',
          out: 'gen',
          opt: ['target=js+dts', 'import_extension=js'],
        },
      ],
    }),
  );
  execFileSync(join(top, 'node_modules/.bin/buf'), ['generate', '--timeout', '300s'], {
    cwd: work,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const fresh = `${out}.new`;
  rmSync(fresh, { recursive: true, force: true });
  cpSync(join(work, 'gen'), fresh, { recursive: true });
  writeRegistry(fresh);
  rmSync(out, { recursive: true, force: true });
  renameSync(fresh, out);
  console.log(
    `${relative(top, out)}: ${readdirSync(out, { recursive: true }).filter((f) => f.endsWith('.js')).length} files`,
  );
} finally {
  rmSync(work, { recursive: true, force: true });
}
