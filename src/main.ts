/**
 * `lateen`: finds the program that the first word names and hands it the rest.
 * Long-running programs have a bundle each in the image; everything else is a verb of the command line.
 */

/** What every program and verb is given; nothing in them touches `process.stdout` or `process.exit` itself. */
export type Program = (args: string[]) => Promise<number>;

const programs: Record<string, () => Promise<{ main: Program }>> = {
  operator: () => import('./operator/main.ts'),
  control: () => import('./control/main.ts'),
  proxy: () => import('./proxy/main.ts'),
  iptables: () => import('./iptables/main.ts'),
};

const [name = 'help', ...args] = process.argv.slice(2);
const { main } = Object.hasOwn(programs, name) ? await programs[name]() : await import('./cli/main.ts');
process.exitCode = await main(Object.hasOwn(programs, name) ? args : [name, ...args]);
