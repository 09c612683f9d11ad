/** What was explained, for a person: every step with the resource behind it, and where that stands. */
import { inWords } from '../../proxy/decide/in-words.ts';
import type { Step } from '../../proxy/decide/trace.ts';
import { clusterName } from '../proxy-config/dump.ts';
import type { Asked, Explained, Inbound } from './explain.ts';

/** `FILE:LINE` of a resource's field; '' when it does not come from a file. */
export type Locate = (kind: string, namespace: string, name: string, path: string) => string;

const kinds: Readonly<Record<string, string>> = {
  'virtual-service': 'VirtualService',
  'http-route': 'HTTPRoute',
  'grpc-route': 'GRPCRoute',
  'destination-rule': 'DestinationRule',
};

interface Origin {
  readonly resource: string;
  readonly where: string;
}

/** Of `virtual-service shop/cart spec.http[1]`, or of a policy as it is called in a proxy: `ns[shop]-policy[viewer]-rule[0]`. */
export function originOf(name: string, locate: Locate): Origin | null {
  const [, word, namespace, own, path = ''] = /^([a-z-]+) ([^/ ]+)\/([^ ]+)(?: (.+))?$/.exec(name) ?? [];
  const kind = kinds[word ?? ''];
  if (kind)
    return {
      resource: [`${kind} ${namespace}/${own}`, path].filter(Boolean).join(' '),
      where: locate(kind, namespace, own, path),
    };
  const [, place, policy, rule] = /^ns\[([^\]]*)\]-policy\[([^\]]*)\]-rule\[(\d+)\]$/.exec(name) ?? [];
  if (policy === undefined) return null;
  const at = `spec.rules[${rule}]`;
  return {
    resource: `AuthorizationPolicy ${place}/${policy} ${at}`,
    where: locate('AuthorizationPolicy', place, policy, at),
  };
}

export function explanationText(asked: Asked, explained: Explained, locate: Locate): string {
  const { method, host, port, path } = asked;
  const url = `http://${host}${port === 80 ? '' : `:${port}`}${path}`;
  const lines = [
    `${method} ${url} from ${explained.caller}: ${outcomeOf(explained)}`,
    '',
    `Out of ${explained.caller}`,
  ];
  lines.push(...stepLines(explained.steps, locate));
  for (const problem of explained.refused) lines.push(`  ! the proxy refuses ${problem}`);
  for (const { name, percent, rule, subset, balancing, inbound } of explained.clusters) {
    lines.push('', `To ${name}${explained.clusters.length > 1 ? `, ${percent} %` : ''}`);
    const origin = rule === '' ? null : originOf(rule, locate);
    if (origin)
      lines.push(
        `  policy     ${[`${origin.resource}${subset ? ` subset ${subset}` : ''}`, origin.where].filter(Boolean).join('  ')}`,
      );
    if (balancing) lines.push(`  balancing  ${balancing}`);
    if (inbound.length === 0) lines.push(noEndpoints(name));
    for (const each of inbound) lines.push(...inboundLines(each, locate));
  }
  return `${lines.join('\n')}\n`;
}

function noEndpoints(name: string): string {
  const parts = clusterName(name);
  if (parts === null) return '  endpoints  where the caller meant to go';
  return `  endpoints  none: answered with 503 (no healthy upstream, flags UH)${parts.subset ? `; no workload has the labels of subset ${parts.subset}` : ''}`;
}

function inboundLines({ endpoints, mutualTls, why, steps, decision }: Inbound, locate: Locate): string[] {
  const lines = [
    `  endpoints  ${endpoints.join(', ')}`,
    `  TLS        ${mutualTls ? 'mutual TLS of the mesh' : 'none of the mesh'}: ${why}`,
  ];
  if (decision === null) return lines;
  return [
    ...lines,
    '',
    `Into ${endpoints[0].split(' ')[0]}${endpoints.length > 1 ? ` and ${endpoints.length - 1} more` : ''}: ${inWords(decision)}`,
    ...stepLines(steps, locate),
  ];
}

function stepLines(steps: readonly Step[], locate: Locate): string[] {
  const rows = steps.map(({ what, name, outcome, why }) => {
    const origin = originOf(name, locate);
    return [what, origin?.resource ?? name, outcome, [why, origin?.where].filter(Boolean).join('  ')];
  });
  const widths = [0, 1, 2].map((column) => Math.max(0, ...rows.map((row) => row[column].length)));
  return rows.map((row) => `  ${row.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]) : cell)).join('  ')}`.trimEnd());
}

export function outcomeOf({ decision, clusters }: Explained): string {
  const out = inWords(decision);
  const within = clusters
    .flatMap(({ inbound }) => inbound)
    .filter(({ decision: own }) => own !== null && own.outcome !== 'forwarded');
  const empty = clusters.filter(({ name, inbound }) => inbound.length === 0 && clusterName(name) !== null);
  const parts = [
    ...within.map(({ endpoints, decision: own }) => `at ${endpoints[0].split(' ')[0]} ${inWords(own!)}`),
    ...empty.map(({ name }) => `${name} has no endpoints: 503`),
  ];
  return parts.length === 0 ? out : `${out}; ${parts.join('; ')}`;
}
