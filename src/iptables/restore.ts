/** iptables-restore's input: from the rules that are there (iptables-save) to the rules that should be. Pure. */
import { ownChain, type Table } from './rules.ts';

export interface SavedTable {
  chains: string[];
  /** Lines of the built-in chains that jump into ours: `-A OUTPUT -j ISTIO_OUTPUT`. */
  jumps: string[];
}

/** Reads iptables-save's output as far as an earlier run left traces. */
export function readSaved(text: string): Map<string, SavedTable> {
  const tables = new Map<string, SavedTable>();
  let table: SavedTable = { chains: [], jumps: [] };
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) {
      table = { chains: [], jumps: [] };
      tables.set(line.slice(1).trim(), table);
    } else if (line.startsWith(':')) {
      const name = line.slice(1, line.indexOf(' '));
      if (ownChain.test(name)) table.chains.push(name);
    } else {
      const [, chain, target] = /^-A (\S+) (?:.* )?-j (\S+)/.exec(line) ?? [];
      if (chain && !ownChain.test(chain) && ownChain.test(target)) table.jumps.push(line);
    }
  }
  for (const [name, { chains, jumps }] of tables) if (chains.length + jumps.length === 0) tables.delete(name);
  return tables;
}

/**
 * One transaction a table (`iptables-restore --noflush`): an earlier run's jumps go, its chains are emptied or deleted, then
 * ours come. `present` are the rules of `wanted` in built-in chains that jump nowhere of ours yet are there already.
 * Empty when there is nothing to do.
 */
export function restoreInput(
  wanted: readonly Table[],
  saved: ReadonlyMap<string, SavedTable> = new Map(),
  present: ReadonlySet<string> = new Set(),
): string {
  const names = [...new Set([...wanted.map(({ name }) => name), ...saved.keys()])];
  return names.map((name) => tableInput(name, wanted, saved.get(name), present)).join('');
}

function tableInput(
  name: string,
  wanted: readonly Table[],
  saved: SavedTable | undefined,
  present: ReadonlySet<string>,
): string {
  const nothing: Pick<Table, 'chains' | 'rules'> = { chains: [], rules: [] };
  const { chains, rules } = wanted.find((table) => table.name === name) ?? nothing;
  const stale = saved?.chains.filter((chain) => !chains.includes(chain)) ?? [];
  const lines = [`*${name}`];
  // Declaring a chain creates it, or empties it when it is there.
  for (const chain of [...chains, ...stale]) lines.push(`:${chain} - [0:0]`);
  for (const jump of saved?.jumps ?? []) lines.push(jump.replace(/^-A/, '-D'));
  for (const chain of stale) lines.push(`-X ${chain}`);
  for (const rule of rules) {
    const text = `${rule.chain} ${rule.match}`;
    if (present.has(`${name} ${text}`)) lines.push(`-D ${text}`);
    // As Istio: each at position 1, so the later one comes first, the jump to the proxy before the RETURN.
    lines.push(rule.first ? `-I ${rule.chain} 1 ${rule.match}` : `-A ${text}`);
  }
  return `${lines.join('\n')}\nCOMMIT\n`;
}

/** Rules in built-in chains by which nothing of ours is reached: these leave no trace that `readSaved` knows. */
export function untraceable(tables: readonly Table[]): Array<{ table: string; chain: string; match: string }> {
  return tables.flatMap(({ name, rules }) =>
    rules
      .filter(({ chain, match }) => !ownChain.test(chain) && !ownChain.test(match.slice(match.lastIndexOf(' ') + 1)))
      .map(({ chain, match }) => ({ table: name, chain, match })),
  );
}
