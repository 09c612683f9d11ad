import test from 'ava';
import { isResponseFlag, longFlags, withFlag } from './response-flags.ts';

test("flags stand once and in Envoy's order, whichever came first", (t) => {
  t.is(['URX', 'UF', 'DI', 'UF'].reduce(withFlag, ''), 'UF,DI,URX');
  t.is(longFlags('UF,DI,URX'), 'UpstreamConnectionFailure,DelayInjected,UpstreamRetryLimitExceeded');
  t.true(isResponseFlag('UDO'));
  t.false(isResponseFlag('XX'));
});
