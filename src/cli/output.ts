/** Machine-readable results. */

/** JSON or YAML text of a value, ending in a newline. The YAML package is read only when it is needed. */
export async function render(value: unknown, format: 'json' | 'yaml'): Promise<string> {
  if (format === 'json') return `${JSON.stringify(value, null, 2)}\n`;
  const { stringify } = await import('yaml');
  return stringify(value, { lineWidth: 0 });
}
