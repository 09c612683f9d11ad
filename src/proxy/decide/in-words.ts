import type { Decision } from './decide.ts';

/** A decision in one sentence, for people. */
export function inWords(decision: Decision): string {
  switch (decision.outcome) {
    case 'refused':
      return `the connection is refused by ${decision.by}: ${decision.why}`;
    case 'answered': {
      const { status, flags, details, location, by } = decision;
      const parts = [details, flags && `flags ${flags}`, location && `to ${location}`].filter(Boolean);
      return `answered with ${status} by ${by}${parts.length > 0 ? ` (${parts.join(', ')})` : ''}`;
    }
    case 'forwarded': {
      const { clusters, timeoutMs, retries, retryOn, protocol } = decision;
      const to = clusters.map(({ cluster, percent }) => (clusters.length > 1 ? `${percent} % ${cluster}` : cluster));
      const parts = [
        timeoutMs > 0 && `timeout ${timeoutMs} ms`,
        retries > 0 && `up to ${retries} retries on ${retryOn.join(',')}`,
      ].filter(Boolean);
      const how = protocol === 'tcp' ? 'relayed as bytes to' : 'forwarded to';
      return `${how} ${to.join(', ')}${parts.length > 0 ? ` (${parts.join(', ')})` : ''}`;
    }
  }
}
