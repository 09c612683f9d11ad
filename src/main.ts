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
  wait: () => import('./iptables/wait.ts'),
};

async function start([name = 'help', ...args]: string[]): Promise<number> {
  if (!Object.hasOwn(programs, name)) return (await import('./cli/main.ts')).main([name, ...args]);
  return (await programs[name]()).main(args);
}

const words = process.argv.slice(2);
const next = words[0] === 'iptables' ? words.indexOf('--') + 1 : 0;
let code = await start(words);
// `lateen iptables … -- proxy …`: the pod's rules first, which need root, then the proxy, which must not have it.
if (next > 0 && code === 0) code = await start(words.slice(next));
process.exitCode = code;
