import type { Table } from '../config/table.ts';
import { type Decision, decide } from '../decide/decide.ts';
import { inWords } from '../decide/in-words.ts';
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
