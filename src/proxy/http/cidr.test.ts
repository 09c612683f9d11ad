import { BlockList, isIPv4 } from 'node:net';
import test from 'ava';
import fc from 'fast-check';
import { cidrContains, ipv4Number, maskedAddress } from './cidr.ts';

test('an IPv4 address is in a range exactly when the list of Node says so', (t) => {
  const near = fc
    .tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 }), fc.ipV4(), fc.boolean())
    .map(([address, bits, other, same]) => ({ address, bits, ip: same ? address : other }));
  fc.assert(
    fc.property(near, ({ address, bits, ip }) => {
      const list = new BlockList();
      list.addSubnet(address, bits, 'ipv4');
      return cidrContains({ address, bits }, ip) === list.check(ip, 'ipv4');
    }),
    { numRuns: 500 },
  );
  t.pass();
});

test('only what Node takes for an IPv4 address becomes a number', (t) => {
  const almost = fc.oneof(
    fc.ipV4(),
    fc.stringMatching(/^[0-9.]{0,16}$/),
    fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.')),
  );
  fc.assert(
    fc.property(almost, (text) => ipv4Number(text) >= 0 === isIPv4(text)),
    { numRuns: 2000 },
  );
  t.is(ipv4Number('255.255.255.255'), 0xffffffff);
  t.is(ipv4Number('10.0.0.1'), 0x0a000001);
  t.is(ipv4Number('::ffff:10.0.0.1'), -1);
});

test('ranges of the other family and what is no address do not match', (t) => {
  t.true(cidrContains({ address: 'fd00::', bits: 8 }, 'fd12::1'));
  t.false(cidrContains({ address: 'fd00::', bits: 8 }, '10.0.0.1'));
  t.false(cidrContains({ address: '10.0.0.0', bits: 8 }, 'fd12::1'));
  t.true(cidrContains({ address: '0.0.0.0', bits: 0 }, '203.0.113.9'));
  for (const text of ['', 'pipe', '10.0.0', '10.0.0.256'])
    t.false(cidrContains({ address: '10.0.0.0', bits: 8 }, text));
});

test('an address is masked to its range', (t) => {
  t.is(maskedAddress('10.1.2.3', 24), '10.1.2.0');
  t.is(maskedAddress('10.1.2.3', 0), '0.0.0.0');
  t.is(maskedAddress('10.1.2.3', 32), '10.1.2.3');
  t.is(maskedAddress('2001:db8:1:2:3:4:5:6', 48), '2001:db8:1::');
  t.is(maskedAddress('::1', 128), '::1');
  t.is(maskedAddress('fe80::ffff:1', 120), 'fe80::ffff:0');
});
