import type { Table } from '../config/table.ts';
import { type Decision, decide } from '../decide/decide.ts';
import { type Question, readQuestion } from '../decide/question.ts';
import { DecisionTrace, type Step } from '../decide/trace.ts';
import { json, type Reply, text } from './http-server.ts';

/** What becomes of a request that the parameters describe, and by which rules; nothing is sent, counted or drawn. */
export function explainPage(table: Table, query: URLSearchParams): Reply {
  let question: Question;
  try {
    question = readQuestion(query);
  } catch (error) {
    return text(`${(error as Error).message}\n`, 400);
  }
  const trace = new DecisionTrace();
  const decision = decide(table, question, trace);
  if (query.get('format') === 'json') return json({ question, decision, steps: trace.steps, dropped: trace.dropped });
  return text(explanation(question, decision, trace));
}

export function explanation(question: Question, decision: Decision, { steps, dropped }: DecisionTrace): string {
  const { method, authority, path } = question;
  const widest = (of: (step: Step) => string) => Math.max(0, ...steps.map((step) => of(step).length));
  const [what, name, outcome] = [
    widest((step) => step.what),
    widest((step) => step.name),
    widest((step) => step.outcome),
  ];
  const lines = steps.map((step) =>
    `  ${step.what.padEnd(what)}  ${step.name.padEnd(name)}  ${step.outcome.padEnd(outcome)}  ${step.why}`.trimEnd(),
  );
  if (dropped > 0) lines.push(`  … and ${dropped} more`);
  return `${method} ${authority}${path}: ${inWords(decision)}\n\n${lines.join('\n')}\n`;
}

function inWords(decision: Decision): string {
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
