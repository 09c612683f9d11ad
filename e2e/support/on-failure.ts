import type { ExecutionContext, TestFn } from 'ava';
import { cluster } from './cluster.ts';
import { collectEvidence } from './evidence.ts';

/** After each test of the file that fails, and before the file's own clean-up, writes down what the cluster looked like. */
export function evidenceOnFailure<Context>(test: TestFn<Context>): void {
  test.afterEach.always('evidence of a failure', async (t: ExecutionContext<Context>) => {
    if (t.passed) return;
    t.log(`evidence: ${await collectEvidence(cluster, t.title.replace(/^.* for /, ''))}`);
  });
}
