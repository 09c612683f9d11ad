import type { ResetReason } from '../upstream/upstream-call.ts';

export interface FailureReply {
  readonly status: 502 | 503;
  readonly body: string;
  readonly flag: 'UF' | 'UC' | 'UO' | 'UR' | 'UPE';
  readonly details: string;
}

const flags: Record<ResetReason, FailureReply['flag']> = {
  'remote connection failure': 'UF',
  'connection timeout': 'UF',
  'connection termination': 'UC',
  'remote reset': 'UR',
  'remote refused stream reset': 'UR',
  'protocol error': 'UPE',
  overflow: 'UO',
};

/** What a caller is told when its upstream failed before a response, in Envoy's words. */
export function failureReply(reason: ResetReason, detail: string, retried: boolean): FailureReply {
  const told = retried ? 'retried and the latest reset reason' : 'reset reason';
  const tail = detail === '' ? '' : `|${detail}`;
  return {
    status: reason === 'protocol error' ? 502 : 503,
    body: `upstream connect error or disconnect/reset before headers. ${told}: ${reason}`,
    flag: flags[reason],
    details: `upstream_reset_before_response_started{${reason}${tail}}`.replaceAll(' ', '_'),
  };
}
