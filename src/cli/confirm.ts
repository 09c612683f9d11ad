/** Asks a person before something is changed. */
import { CliError, usageError } from './exit.ts';
import type { Terminal } from './terminal.ts';
import type { World } from './verb.ts';

/** Returns on yes, throws otherwise; without a terminal to ask at it asks for `-y`. */
export async function confirm(question: string, stdin: World['stdin'], terminal: Terminal): Promise<void> {
  if (!stdin.isTTY) throw usageError('nobody can be asked here: give -y to go on without a question');
  terminal.line(question);
  for await (const chunk of stdin) {
    if (/^\s*y(es)?\s*$/i.test(String(chunk))) return;
    break;
  }
  throw new CliError('given up, nothing was changed');
}
