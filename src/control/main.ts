/** `lateen control`: the control plane in Kubernetes. */
import { readFlags, usage } from './flags.ts';

export async function main(args: string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(usage);
    return 0;
  }
  let flags: ReturnType<typeof readFlags>;
  try {
    flags = readFlags(args, process.env);
  } catch (error) {
    console.error(`lateen control: ${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  const { runControl } = await import('./run.ts');
  try {
    return await runControl(flags);
  } catch (error) {
    // What is started meanwhile must not keep a control plane alive that serves nobody: whoever runs it starts it again.
    console.error(`lateen control: ${(error as Error).message}`);
    process.exit(1);
  }
}
