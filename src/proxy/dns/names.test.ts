import { create } from '@bufbuild/protobuf';
import test from 'ava';
import fc from 'fast-check';
import { NameTableSchema } from '../../xds/gen/istio/networking/nds/v1/nds_pb.js';
import { Names } from './names.ts';

const place = {
  namespace: 'shop',
  domain: 'shop.svc.cluster.local',
  search: ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local'],
};
const kubernetes = (shortname: string, namespace: string, ...ips: string[]) => ({
  [`${shortname}.${namespace}.svc.cluster.local`]: { ips, registry: 'Kubernetes', shortname, namespace },
});

const names = new Names(
  create(NameTableSchema, {
    table: {
      ...kubernetes('reviews', 'shop', '10.0.0.1'),
      ...kubernetes('ledger', 'bank', '10.0.0.2', 'fd00::2'),
      ...kubernetes('mysql-0.mysql', 'shop', '10.0.0.3'),
      'Www.Example.com.': { ips: ['240.240.0.9'], registry: 'External' },
      'entry.shop.svc.cluster.local': { ips: ['10.0.0.4'], registry: 'External' },
      '*.wild.example.com': { ips: ['10.0.0.5'], registry: 'External' },
      'far.other.svc.cluster.remote': {
        ips: ['10.0.0.6'],
        registry: 'Kubernetes',
        shortname: 'far',
        namespace: 'other',
      },
      'block.example.com': { ips: ['10.0.0.0/8', 'fe80::1%eth0', ''], registry: 'External' },
      [`${'x'.repeat(64)}.com`]: { ips: ['10.0.0.7'], registry: 'External' },
    },
  }),
  place,
);

/** `10.0.0.1`, with ` as ALIAS`. */
function found(name: string): string | null {
  const known = names.find(name);
  if (known === null) return null;
  const text = known.known.ipv4.map((bytes) => bytes.join('.')).join();
  return known.alias === null ? text : `${text} as ${known.alias}`;
}

test("a cluster's services are known by every name that Istio knows them by", (t) => {
  for (const name of ['reviews.shop.svc.cluster.local', 'reviews.shop.svc', 'reviews.shop', 'reviews'])
    t.is(found(name), '10.0.0.1', name);
  for (const name of ['mysql-0.mysql.shop.svc.cluster.local', 'mysql-0.mysql.shop', 'mysql-0.mysql'])
    t.is(found(name), '10.0.0.3', name);
  for (const name of ['ledger.bank.svc.cluster.local', 'ledger.bank.svc', 'ledger.bank'])
    t.is(found(name), '10.0.0.2', name);
  t.is(found('ledger'), null, 'of another namespace');
  t.is(found('reviews.shop.svc.cluster'), null);
});

test("an entry, and a cluster's own service in another domain, have one name", (t) => {
  t.is(found('www.example.com'), '240.240.0.9');
  t.is(found('entry.shop.svc.cluster.local'), '10.0.0.4');
  t.is(found('entry'), null);
  t.is(found('far.other.svc.cluster.remote'), '10.0.0.6');
  t.is(found('far.other'), null);
});

test('a name with the first search domain behind it is an alias', (t) => {
  t.is(found('www.example.com.shop.svc.cluster.local'), '240.240.0.9 as www.example.com');
  t.is(found('ledger.bank.shop.svc.cluster.local'), '10.0.0.2 as ledger.bank');
  t.is(found('www.example.com.svc.cluster.local'), null, 'the second search domain');
  t.is(found('reviews.shop.svc.cluster.local.shop.svc.cluster.local'), null, 'twice the same');
  t.is(found('x.wild.example.com.shop.svc.cluster.local'), '10.0.0.5 as x.wild.example.com');
});

test('a wildcard is for every name below it, and for no other', (t) => {
  t.is(found('a.wild.example.com'), '10.0.0.5');
  t.is(found('a.b.wild.example.com'), '10.0.0.5');
  t.is(found('wild.example.com'), null);
  t.is(found('awild.example.com'), null);
});

test('what is no name or no address is left out', (t) => {
  t.is(names.size, 7);
  t.is(found('block.example.com'), null);
  t.deepEqual(
    names.find('ledger.bank')?.known.ipv6.map((bytes) => Buffer.from(bytes).toString('hex')),
    ['fd000000000000000000000000000002'],
  );
});

test('addresses of IPv6 are read as URLs read them', (t) => {
  fc.assert(
    fc.property(fc.ipV6(), (ip) => {
      const table = create(NameTableSchema, { table: { a: { ips: [ip] } } });
      const [bytes] = new Names(table, place).find('a')!.known.ipv6;
      const groups = Array.from({ length: 8 }, (_, i) =>
        Buffer.from(bytes)
          .readUInt16BE(2 * i)
          .toString(16),
      );
      t.is(new URL(`http://[${groups.join(':')}]`).hostname, new URL(`http://[${ip}]`).hostname);
    }),
  );
});

test('any question is looked up', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (name) => {
      names.find(name);
      names.find(`${name}.shop.svc.cluster.local`);
    }),
  );
  t.is(found(''), null);
  t.is(found('__proto__'), null);
});
