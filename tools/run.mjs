// The one way in: `npm run demo`, `npm test` and the rest call this with the machine's Node (20 or newer).
// It installs the packages and makes the generated code when they are missing or stale, then runs the task
// with the Node that the project brings.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const top = join(import.meta.dirname, '..');
process.chdir(top);
const bin = join(top, 'node_modules/.bin');

function run(command, args, extraEnv = {}) {
  const result = spawnSync(command, args, {
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, ...extraEnv },
  });
  if (result.error) throw result.error;
  if (result.signal) process.kill(process.pid, result.signal);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function files(path) {
  return (
    existsSync(path) &&
    readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? files(join(path, entry.name)) : [join(path, entry.name)],
    )
  );
}

/** Runs `make` unless the stamp says that it ran for the very same inputs. */
function once(stamp, inputs, make) {
  const hash = createHash('sha256');
  for (const input of inputs) hash.update(readFileSync(input));
  const digest = hash.digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  make();
  mkdirSync(join(stamp, '..'), { recursive: true });
  writeFileSync(stamp, digest);
}

function install() {
  once('node_modules/.lateen-installed', ['package-lock.json', 'package.json'], () =>
    // Not `npm ci`: it refuses a lock file that leaves out optional packages for platforms that a registry does not carry.
    run('npm', ['install', '--no-save', '--no-fund', '--no-audit', '--loglevel=error']),
  );
}

function generate() {
  once(
    'src/xds/gen/.inputs',
    ['package-lock.json', 'tools/generate-xds.mjs', 'src/xds/messages.txt', ...files('src/xds/proto')],
    () => run('node', ['tools/generate-xds.mjs']),
  );
}

const tasks = {
  install: () => {},
  generate: () => {
    run('node', ['tools/generate-crds.ts']);
    run('node', ['tools/generate-deploy.ts']);
  },
  build: (args) => run('node', ['tools/build.ts', ...args]),
  format: () => run('biome', ['check', '--write', '--no-errors-on-unmatched', '.']),
  unit: (args) => run('ava', args),
  check: () => {
    run('biome', ['ci', '--no-errors-on-unmatched', '.']);
    run('node', ['tools/check-imports.ts']);
    run('tsc', ['-p', '.']);
    run('ava', []);
  },
  differential: (args) => run('node', ['differential/main.ts', ...args]),
  e2e: (args) => run('node', ['e2e/main.ts', ...args]),
  conformance: (args) => run('node', ['conformance/main.ts', ...args]),
  test: (args) => run('node', ['tools/test.ts', ...args]),
  demo: (args) =>
    run('node', [...(args.includes('--cluster') ? ['e2e/demo.ts'] : ['src/main.ts', 'up', '--demo']), ...args]),
  bench: (args) => run('node', ['bench/main.ts', ...args]),
};

const [task, ...args] = process.argv.slice(2);
if (!Object.hasOwn(tasks, task)) {
  console.error(`usage: node tools/run.mjs ${Object.keys(tasks).join('|')} [arguments]`);
  process.exit(2);
}
install();
generate();
tasks[task](args);
