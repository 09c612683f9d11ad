/** What `--help` shows. */
import { registry } from './registry.ts';
import { formatTable } from './table.ts';
import { type Flags, globalFlags, type Verb } from './verb.ts';

function indented(rows: string[][]): string {
  return formatTable(
    rows.map(([first, ...others]) => [`  ${first}`, ...others]),
    3,
  );
}

function flagTable(flags: Flags): string {
  return indented(
    Object.entries(flags).map(([name, flag]) => {
      const value = flag.type === 'string' ? ` ${flag.choices?.join('|') ?? flag.placeholder ?? 'VALUE'}` : '';
      const notes = [
        flag.multiple ? 'may be repeated' : '',
        typeof flag.default === 'string' ? `default ${flag.default}` : flag.default === true ? 'default true' : '',
      ].filter(Boolean);
      return [
        `${flag.short ? `-${flag.short}, ` : '    '}--${name}${value}`,
        flag.summary + (notes.length > 0 ? ` (${notes.join(', ')})` : ''),
      ];
    }),
  );
}

export function overview(): string {
  const verbs = indented(Object.entries(registry).map(([name, { summary }]) => [name, summary]));
  return `Lateen is a service mesh for Kubernetes that accepts Istio's API.

Usage: lateen VERB [flags]

Verbs:
${verbs}
Global flags:
${flagTable(globalFlags)}
"lateen VERB --help" shows a verb's flags and examples.
`;
}

export function verbHelp(verb: Verb): string {
  const examples = verb.examples.map(([does, command]) => `  # ${does}\n  ${command}\n`).join('\n');
  const flags = Object.keys(verb.flags).length > 0 ? `\nFlags:\n${flagTable(verb.flags)}` : '';
  const about = verb.about ? `\n${verb.about}\n` : '';
  return `${verb.summary}.
${about}
Usage: lateen ${[verb.name, verb.usage].filter(Boolean).join(' ')}

Examples:
${examples}${flags}
Global flags:
${flagTable(globalFlags)}`;
}
