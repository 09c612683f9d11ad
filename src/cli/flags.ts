/** Reads a command line into a verb's flags; says what is wrong in the user's words. */
import { parseArgs } from 'node:util';
import { nearestWord } from '../lib/nearest-word.ts';
import { usageError } from './exit.ts';
import type { Flag, Flags } from './verb.ts';

export interface CommandLine {
  args: string[];
  flags: Record<string, string | boolean | string[] | undefined>;
}

/** Splits off the first word that is neither a flag nor a global flag's value: the verb. */
export function splitVerb(words: readonly string[], globals: Flags): { verb: string | null; rest: string[] } {
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    if (word === '--') break;
    if (!word.startsWith('-') || word === '-')
      return { verb: word, rest: [...words.slice(0, i), ...words.slice(i + 1)] };
    const name = word.replace(/^--?/, '');
    const flag = word.startsWith('--') ? globals[name] : Object.values(globals).find(({ short }) => short === name);
    if (flag?.type === 'string') i++;
  }
  return { verb: null, rest: [...words] };
}

/** Throws a usage error for a flag that is unknown, has no value, or has one that it does not take. */
export function readFlags(words: readonly string[], flags: Flags, maxArgs: number): CommandLine {
  const options = Object.fromEntries(Object.entries(flags).map(([name, { type, short }]) => [name, { type, short }]));
  for (const option of Object.values(options)) if (option.short === undefined) delete option.short;
  const { tokens } = parseArgs({
    args: words.map((word) => longForm(word, flags)),
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });

  const args: string[] = [];
  const values: CommandLine['flags'] = {};
  for (const [name, flag] of Object.entries(flags))
    values[name] = flag.multiple ? [] : (flag.default ?? (flag.type === 'boolean' ? false : undefined));

  for (const token of tokens) {
    if (token.kind === 'positional') args.push(token.value);
    if (token.kind !== 'option') continue;
    const flag = Object.hasOwn(flags, token.name) ? flags[token.name] : null;
    if (!flag) {
      const near = nearestWord(token.name, Object.keys(flags));
      throw usageError(
        `unknown flag: ${token.rawName}`,
        near && token.name.length > 1 ? `did you mean --${near}?` : null,
      );
    }
    if (flag.type === 'boolean') values[token.name] = readBoolean(token.rawName, token.value);
    else {
      if (token.value === undefined)
        throw usageError(`flag needs a value: ${token.rawName} ${flag.placeholder ?? 'VALUE'}`);
      checkChoice(token.rawName, token.value, flag);
      if (flag.multiple) (values[token.name] as string[]).push(token.value);
      else values[token.name] = token.value;
    }
  }
  if (args.length > maxArgs) {
    const many = maxArgs === 0 ? 'no arguments' : `at most ${maxArgs} argument${maxArgs === 1 ? '' : 's'}`;
    throw usageError(`unexpected argument: ${args[maxArgs]}`, `the verb takes ${many}`);
  }
  return { args, flags: values };
}

/** `-k=false`, which parseArgs takes for several letters, as `--use-kube=false`. */
function longForm(word: string, flags: Flags): string {
  const [, letter, value] = /^-([A-Za-z])=(.*)$/s.exec(word) ?? [];
  const name = letter && Object.keys(flags).find((each) => flags[each].short === letter);
  return name ? `--${name}=${value}` : word;
}

function readBoolean(rawName: string, value: string | undefined): boolean {
  if (value === undefined || value === 'true') return true;
  if (value === 'false') return false;
  throw usageError(`${rawName} is true or false, is "${value}"`);
}

function checkChoice(rawName: string, value: string, { choices }: Flag): void {
  if (!choices || choices.includes(value)) return;
  throw usageError(`${rawName} is one of ${choices.join(', ')}, is "${value}"`);
}
