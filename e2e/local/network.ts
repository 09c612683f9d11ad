import { run } from '../cluster/command.ts';
import { addresses, type Layout } from './layout.ts';

/**
 * The cluster's network:
 *
 *     n1 namespace            bridge namespace           n2 namespace
 *     eth0 10.66.0.1 ──veth── br0 10.66.0.254 ──veth── eth0 10.66.0.2
 *
 * The bridge's namespace has no other interface and forwards nothing, so no packet leaves the cluster. The default
 * route leads there all the same, since programs look for one to find their own address.
 */
export async function connect(layout: Layout): Promise<void> {
  const bridge = [
    'link add br0 type bridge',
    `addr add ${addresses.gateway}/24 dev br0`,
    'link set br0 up',
    'link set lo up',
  ];
  const { nodes } = layout;
  const names = [layout.bridge, ...nodes.map((node) => node.namespace)];
  await batch(
    null,
    names.map((name) => `netns add ${name}`),
  );
  for (const node of nodes)
    bridge.push(`link add ${node.name} master br0 type veth peer name eth0 netns ${node.namespace}`);
  for (const node of nodes) bridge.push(`link set ${node.name} up`);
  await batch(layout.bridge, bridge);
  for (const node of nodes)
    await batch(node.namespace, [
      'link set lo up',
      `addr add ${node.address}/24 dev eth0`,
      'link set eth0 up',
      `route add default via ${addresses.gateway}`,
      ...nodes.filter((other) => other !== node).map((other) => `route add ${other.podRange} via ${other.address}`),
    ]);
  const still =
    'echo 0 >/proc/sys/net/ipv4/ip_forward; for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e $f ] || echo 0 >$f; done';
  await run(['nsenter', `--net=/run/netns/${layout.bridge}`, 'sh', '-c', still]);
}

function batch(namespace: string | null, lines: string[]): Promise<string> {
  return run(['ip', ...(namespace ? ['-n', namespace] : []), '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
