/** Machine-readable results. */

/**
 * JSON or YAML text of a value, ending in a newline. The YAML means the same to readers of YAML 1.1, such as kubectl. The
 * YAML package is read only when it is needed.
 */
export async function render(value: unknown, format: 'json' | 'yaml'): Promise<string> {
  if (format === 'json') return `${JSON.stringify(value, null, 2)}\n`;
  const { stringify } = await import('yaml');
  return stringify(value, { lineWidth: 0, compat: 'yaml-1.1' });
}
