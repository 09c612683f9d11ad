import type { Gate } from '../config/table.ts';

/** What a gate knows between connections. It is kept with the gate's configuration: a push that changes it starts anew. */
interface Count {
  active: number;
  tokens: number;
  filledTick: number;
}

const counts = new WeakMap<Gate, Count>();

function countOf(gate: Gate, now: number): Count {
  let count = counts.get(gate);
  if (count === undefined) {
    count = { active: 0, tokens: gate.kind === 'rate' ? gate.maxTokens : 0, filledTick: now };
    counts.set(gate, count);
  }
  return count;
}

/** Lets a connection through, which `leaveGate` follows when it ends; false when it is one too many. */
export function passGate(gate: Gate, now: number): boolean {
  const count = countOf(gate, now);
  if (gate.kind === 'connections') {
    if (count.active >= gate.max) return false;
    count.active++;
    return true;
  }
  const fills = Math.floor((now - count.filledTick) / gate.fillMs);
  if (fills > 0) {
    count.tokens = Math.min(gate.maxTokens, count.tokens + fills * gate.tokensPerFill);
    count.filledTick += fills * gate.fillMs;
  }
  if (count.tokens < 1) return false;
  count.tokens--;
  return true;
}

/** A connection that was let through has ended. */
export function leaveGate(gate: Gate): void {
  const count = counts.get(gate);
  if (gate.kind === 'connections' && count !== undefined) count.active--;
}
