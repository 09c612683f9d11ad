/**
 * Environment of the proxy out of the webhook's path (Istio: "Install multicluster", `injectionPath`):
 * `/inject/cluster/c2/net/n2`, `--slash--` standing for a slash in a value; or `/inject/:ENV:NAME=value:ENV:…`.
 */
const names: Readonly<Record<string, string>> = { cluster: 'ISTIO_META_CLUSTER_ID', net: 'ISTIO_META_NETWORK' };

/** `path` is what follows `/inject/`; a name without a value is left out. */
export function environmentOfPath(path: string): Record<string, string> {
  const found: Record<string, string> = {};
  if (path.startsWith(':ENV:')) {
    for (const pair of path.split(':ENV:')) {
      const equals = pair.indexOf('=');
      if (equals > 0) found[pair.slice(0, equals)] = pair.slice(equals + 1);
    }
    return found;
  }
  const parts = path.split('/').filter((part) => part !== '');
  for (let i = 0; i + 1 < parts.length; i += 2) {
    const name = Object.hasOwn(names, parts[i]) ? names[parts[i]] : parts[i].toUpperCase();
    if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) found[name] = parts[i + 1].replaceAll('--slash--', '/');
  }
  return found;
}
