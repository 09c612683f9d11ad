import { spawn } from 'node:child_process';

export interface CommandOptions {
  /** Written to standard input, which then ends. */
  input?: string | Buffer;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** The command is killed after this; 120,000 unless told. */
  timeoutMs?: number;
}

export interface CommandResult {
  /** Exit code; 128 + 9 stands for a command that was killed. */
  code: number;
  stdout: string;
  stderr: string;
}

const maxOutputBytes = 64 * 1024 * 1024;

/** Runs a command to its end, whatever its exit code. Throws only when it cannot be started or writes over 64 MiB. */
export function attempt(argv: string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { promise, resolve, reject } = Promise.withResolvers<CommandResult>();
  const child = spawn(argv[0], argv.slice(1), {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: options.timeoutMs ?? 120_000,
    killSignal: 'SIGKILL',
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  let bytes = 0;
  const keep = (into: Buffer[]) => (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxOutputBytes) {
      child.kill('SIGKILL');
      reject(new Error(`${argv.join(' ')}: wrote more than ${maxOutputBytes} bytes`));
    } else into.push(chunk);
  };
  child.stdout.on('data', keep(out));
  child.stderr.on('data', keep(err));
  child.on('error', (error) => reject(new Error(`${argv[0]}: cannot be run: ${error.message}`)));
  child.on('close', (code, signal) =>
    resolve({
      code: code ?? (signal ? 137 : 1),
      stdout: Buffer.concat(out).toString(),
      stderr: Buffer.concat(err).toString(),
    }),
  );
  // A command that ends before it has read everything is no error of its own: its exit code tells.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  return promise;
}

/** Runs a command and gives its standard output. Throws with the command and what it said when it fails. */
export async function run(argv: string[], options: CommandOptions = {}): Promise<string> {
  const result = await attempt(argv, options);
  if (result.code !== 0) {
    const said = (result.stderr.trim() || result.stdout.trim()).slice(-4000);
    throw new Error(`${argv.join(' ')}: exit code ${result.code}${said ? `: ${said}` : ''}`);
  }
  return result.stdout;
}

/** Whether a program of this name is on the PATH. */
export async function onPath(program: string): Promise<boolean> {
  return (await attempt(['sh', '-c', 'command -v "$1"', 'sh', program])).code === 0;
}
