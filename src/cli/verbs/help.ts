import { exit, usageError } from '../exit.ts';
import { overview, verbHelp } from '../help-text.ts';
import { findVerb, loadVerb } from '../registry.ts';
import { verb } from '../verb.ts';

export default verb({
  name: 'help',
  summary: 'Show what lateen can do',
  usage: '[VERB]',
  examples: [
    ['List the verbs', 'lateen help'],
    ['Show the flags and examples of one', 'lateen help validate'],
  ],
  flags: {},
  maxArgs: 1,
  async run({ args, stdout }) {
    if (args.length === 0) {
      stdout.write(overview());
      return exit.ok;
    }
    const name = findVerb(args[0]);
    if (name === null) throw usageError(`unknown verb: ${args[0]}`, '"lateen help" lists the verbs');
    stdout.write(verbHelp(await loadVerb(name)));
    return exit.ok;
  },
});
