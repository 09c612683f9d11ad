/** Which local program stands for a container image. */
import { join } from 'node:path';

export interface Container {
  name: string;
  image: string;
  command?: string[];
  args?: string[];
  env?: unknown[];
  restartPolicy?: string;
  [field: string]: unknown;
}

const top = join(import.meta.dirname, '../..');
const node = process.execPath;

/** Annotation with a JSON list: the command that runs instead of the image. */
export const commandAnnotation = 'up.lateen.dev/command';

const known: ReadonlyArray<{ image: RegExp; argv: (match: RegExpMatchArray) => string[] }> = [
  { image: /(?:^|\/)lateen(?::|$)/, argv: () => [node, join(top, 'src/main.ts')] },
  {
    image: /examples-bookinfo-(productpage|details|ratings|reviews)-(v\d+)(?::|$)/,
    argv: ([, service, version]) => [
      'env',
      `SERVICE_VERSION=${version}`,
      node,
      join(top, `samples/bookinfo/${service}.ts`),
    ],
  },
  { image: /(?:^|\/)curl(?::|$)/, argv: () => [node, join(top, 'src/up/caller.ts')] },
];

/** @throws Error that names the image and the annotation, when no local program is known for it */
export function argvOf(container: Container, annotations: Record<string, string> | undefined): string[] {
  for (const { image, argv } of known) {
    const match = container.image.match(image);
    if (match) return [...argv(match), ...(container.args ?? [])];
  }
  const given = annotations?.[commandAnnotation];
  if (given !== undefined) {
    const argv: unknown = JSON.parse(given);
    if (!Array.isArray(argv) || argv.length === 0 || !argv.every((word) => typeof word === 'string'))
      throw new Error(
        `annotation ${commandAnnotation}: must be a JSON list of words, e.g. ["node", "server.js"]; is ${given}`,
      );
    return argv;
  }
  throw new Error(
    `container ${container.name}: no local program is known for image ${container.image}; name one in the pod template's annotation ${commandAnnotation}: '["node", "server.js"]'`,
  );
}

/** The client's program is spoken to: a line in, a line out (caller.ts). */
export function speaks({ image }: Container): boolean {
  return /(?:^|\/)curl(?::|$)/.test(image);
}
