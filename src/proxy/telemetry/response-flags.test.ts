import test from 'ava';
import { isResponseFlag, longFlags, withFlag } from './response-flags.ts';

test('flags stand once, in the order in which they came up', (t) => {
  t.is(['URX', 'UF', 'DI', 'UF'].reduce(withFlag, ''), 'URX,UF,DI');
  t.is(longFlags('UF,DI,URX'), 'UpstreamConnectionFailure,DelayInjected,UpstreamRetryLimitExceeded');
  t.true(isResponseFlag('UDO'));
  t.false(isResponseFlag('XX'));
});
