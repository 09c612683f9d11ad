import test from 'ava';
import { loadVerb, registry } from './registry.ts';
import { lateen } from './testing/command.ts';

test('without a verb: what there is', async (t) => {
  const { code, stdout } = await lateen([]);
  t.is(code, 0);
  for (const name of Object.keys(registry)) t.true(stdout.includes(`  ${name} `), name);
});

for (const name of Object.keys(registry))
  test(`${name}: its help has its usage, an example and its flags, by every way to ask`, async (t) => {
    const { code, stdout, stderr } = await lateen([name, '--help']);
    t.is(code, 0);
    t.is(stderr, '');
    const verb = await loadVerb(name);
    t.is(verb.name, name);
    t.true(stdout.includes(`Usage: lateen ${name}`));
    for (const [, command] of verb.examples) t.true(stdout.includes(command));
    for (const flag of Object.keys(verb.flags)) t.true(stdout.includes(`--${flag}`), flag);
    t.deepEqual(await lateen(['help', name]), { code, stdout, stderr });
    t.deepEqual(await lateen(['-n', 'x', name, '-h']), { code, stdout, stderr });
  });

const mistakes: Array<[string[], string]> = [
  [['versoin'], 'Error: unknown verb: versoin\ndid you mean "lateen version"?\n'],
  [['frobnicate'], 'Error: unknown verb: frobnicate\n"lateen help" lists the verbs\n'],
  [['help', 'frobnicate'], 'Error: unknown verb: frobnicate\n"lateen help" lists the verbs\n'],
  [['version', '--remot'], 'Error: unknown flag: --remot\ndid you mean --remote?\n'],
  [['version', '-x'], 'Error: unknown flag: -x\n'],
  [['version', '-o'], 'Error: flag needs a value: -o VALUE\n'],
  [['version', '-o', 'xml'], 'Error: -o is one of short, json, yaml, is "xml"\n'],
  [['version', '--remote=perhaps'], 'Error: --remote is true or false, is "perhaps"\n'],
  [['version', 'now'], 'Error: unexpected argument: now\nthe verb takes no arguments\n'],
  [['help', 'a', 'b'], 'Error: unexpected argument: b\nthe verb takes at most 1 argument\n'],
  [['--namespac', 'x'], 'Error: unknown verb: x\n"lateen help" lists the verbs\n'],
  [['--namespac'], 'Error: unknown flag: --namespac\ndid you mean --namespace?\n'],
  [['validate'], 'Error: no file was given\nname one with -f\n'],
];

for (const [words, message] of mistakes)
  test(`lateen ${words.join(' ')}`, async (t) =>
    t.deepEqual(await lateen(words), { code: 64, stdout: '', stderr: message }));
