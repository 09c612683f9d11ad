/** The command line: finds the verb, reads its flags, runs it, and turns what it throws into a message and an exit code. */

import { ApiError } from '../kube/error.ts';
import { nearestWord } from '../lib/nearest-word.ts';
import { CliError, exit, usageError } from './exit.ts';
import { readFlags, splitVerb } from './flags.ts';
import { overview, verbHelp } from './help-text.ts';
import { findVerb, loadVerb, registry } from './registry.ts';
import { Terminal } from './terminal.ts';
import { type Flags, globalFlags, type World } from './verb.ts';

export async function main(args: string[]): Promise<number> {
  const interruption = new AbortController();
  const interrupt = () => {
    interruption.abort();
    // Ends a verb that waits for input.
    process.stdin.destroy();
  };
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  // A reader that has seen enough, such as `head`, is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  try {
    return await runCommand(args, {
      stdout: process.stdout,
      stdin: process.stdin,
      terminal: new Terminal(process.stderr),
      env: process.env,
      signal: interruption.signal,
      kube: async (flags) => {
        const { openCluster } = await import('./cluster.ts');
        return openCluster(flags);
      },
    });
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

/** Runs one command line in a given world; never throws for what a user did. Returns the exit code. */
export async function runCommand(words: string[], world: World): Promise<number> {
  const { verb: word, rest } = splitVerb(words, globalFlags);
  try {
    if (word === null) {
      if (rest.includes('--version')) return await runCommand(['version', '--remote=false'], world);
      readFlags(rest, globalFlags, 0);
      world.stdout.write(overview());
      return exit.ok;
    }
    const name = findVerb(word);
    if (name === null) {
      const near = nearestWord(word, Object.keys(registry));
      throw usageError(
        `unknown verb: ${word}`,
        near ? `did you mean "lateen ${near}"?` : '"lateen help" lists the verbs',
      );
    }
    const verb = await loadVerb(name);
    if (rest.includes('--help') || rest.includes('-h')) {
      world.stdout.write(verbHelp(verb));
      return exit.ok;
    }
    const flags: Flags = { ...globalFlags, ...verb.flags };
    const line = readFlags(rest, flags, verb.maxArgs);
    const values = line.flags as Parameters<typeof verb.run>[0]['flags'];
    return await verb.run({ ...world, args: line.args, flags: values, kube: () => world.kube(values) });
  } catch (error) {
    if (world.signal.aborted) return 130;
    if (!(error instanceof CliError || error instanceof ApiError)) throw error;
    world.terminal.line(`${world.terminal.style('red', 'Error:')} ${error.message}`);
    if (error instanceof CliError && error.hint) world.terminal.line(error.hint);
    return error instanceof CliError ? error.exitCode : exit.failure;
  }
}
