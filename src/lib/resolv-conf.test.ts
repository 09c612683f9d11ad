import test from 'ava';
import fc from 'fast-check';
import { parseResolvConf } from './resolv-conf.ts';

test("a pod's file", (t) => {
  const text = `# made by the kubelet
search shop.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
nameserver fe80::1%eth0
nameserver none
options ndots:5
`;
  t.deepEqual(parseResolvConf(text), {
    nameservers: ['10.96.0.10', 'fe80::1'],
    search: ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local'],
  });
});

test('the last of search and domain counts', (t) => {
  t.deepEqual(parseResolvConf('search a b\ndomain C.org. ; here').search, ['c.org']);
  t.deepEqual(parseResolvConf('domain c\nsearch a b').search, ['a', 'b']);
  t.deepEqual(parseResolvConf('search .').search, []);
});

test('any text is read', (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      parseResolvConf(text);
    }),
  );
  t.pass();
});
