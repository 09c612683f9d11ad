/** Rules across a PeerAuthentication's fields that its schema does not state. */
import { below, type Report } from '../../schema/problem.ts';
import type { PeerAuthentication } from '../peer-authentication.ts';
import { warnOfEmptySelector } from './label-rules.ts';

export function checkPeerAuthentication({ spec }: Pick<PeerAuthentication, 'spec'>, report: Report): void {
  warnOfEmptySelector(below(report, 'spec'), spec.selector);
}
