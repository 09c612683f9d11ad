import test from 'ava';
import type { ChainMatch } from '../config/table.ts';
import { chainOf, listenerOf } from '../testing/tables.ts';
import { type ChainFacts, matchChain } from './chain-match.ts';

const facts: ChainFacts = {
  destination: { ip: '10.0.0.5', port: 9080 },
  source: { ip: '10.0.1.1', port: 40_000 },
  directSource: { ip: '10.0.1.1', port: 40_000 },
  serverName: '',
  transport: 'raw_buffer',
  protocols: [],
};

function chosen(chains: Record<string, Partial<ChainMatch>>, overrides: Partial<ChainFacts> = {}): string | null {
  const blank = chainOf({}).match;
  const listener = listenerOf(
    Object.entries(chains).map(([name, match]) => chainOf({ name, match: { ...blank, ...match } })),
  );
  return matchChain(listener, { ...facts, ...overrides })?.name ?? null;
}

test('the destination port comes before everything else', (t) => {
  t.is(chosen({ any: {}, port: { destinationPort: 9080 }, other: { destinationPort: 80 } }), 'port');
  t.is(chosen({ any: { serverNames: ['a.b'] }, port: { destinationPort: 9080 } }, { serverName: 'a.b' }), 'port');
});

test('a longer prefix beats a shorter one, for destination and source', (t) => {
  const prefixes = {
    wide: { destinationPrefixes: [{ address: '10.0.0.0', bits: 8 }] },
    narrow: { destinationPrefixes: [{ address: '10.0.0.0', bits: 24 }] },
  };
  t.is(chosen(prefixes), 'narrow');
  t.is(chosen(prefixes, { destination: { ip: '10.9.0.1', port: 1 } }), 'wide');
  t.is(chosen(prefixes, { destination: { ip: '11.0.0.1', port: 1 } }), null);
  t.is(chosen({ any: {}, from: { sourcePrefixes: [{ address: '10.0.1.0', bits: 24 }] } }), 'from');
});

test('the peer of the socket and its kind come before the source that is told', (t) => {
  const chains = {
    any: {},
    near: { sourceType: 'sameIpOrLoopback' },
    far: { sourceType: 'external' },
    balancer: { directSourcePrefixes: [{ address: '192.0.2.0', bits: 24 }] },
  } as const;
  t.is(chosen(chains), 'far');
  t.is(chosen(chains, { source: { ip: '127.0.0.1', port: 1 } }), 'near');
  t.is(chosen(chains, { source: { ip: '10.0.0.5', port: 1 } }), 'near');
  t.is(chosen(chains, { directSource: { ip: '192.0.2.9', port: 1 } }), 'balancer');
});

test('an exact server name beats a wildcard, which beats none', (t) => {
  const names = {
    none: {},
    wild: { serverNames: ['*.example.com'] },
    wilder: { serverNames: ['*.com'] },
    exact: { serverNames: ['a.example.com'] },
  };
  t.is(chosen(names, { serverName: 'a.example.com' }), 'exact');
  t.is(chosen(names, { serverName: 'b.example.com' }), 'wild');
  t.is(chosen(names, { serverName: 'x.com' }), 'wilder');
  t.is(chosen(names, { serverName: 'example.org' }), 'none');
  t.is(chosen(names), 'none');
});

test('transport and application protocols choose between mesh and plain text', (t) => {
  const inbound = {
    meshHttp: { transportProtocol: 'tls', applicationProtocols: ['istio-http/1.1', 'istio-h2'] },
    meshTcp: { transportProtocol: 'tls', applicationProtocols: ['istio', 'istio-peer-exchange'] },
    foreignTls: { transportProtocol: 'tls' },
    plainHttp: { transportProtocol: 'raw_buffer', applicationProtocols: ['http/1.1', 'h2c'] },
    plain: { transportProtocol: 'raw_buffer' },
  } as const;
  t.is(chosen(inbound, { transport: 'tls', protocols: ['istio-http/1.1', 'istio', 'http/1.1'] }), 'meshHttp');
  t.is(chosen(inbound, { transport: 'tls', protocols: ['istio-peer-exchange', 'istio'] }), 'meshTcp');
  t.is(chosen(inbound, { transport: 'tls', protocols: ['h2'] }), 'foreignTls');
  t.is(chosen(inbound, { protocols: ['http/1.1'] }), 'plainHttp');
  t.is(chosen(inbound), 'plain');
});

test('there is no way back from a step, and the default takes the rest', (t) => {
  const chains = { port: { destinationPort: 9080, transportProtocol: 'tls' as const }, any: {} };
  t.is(chosen(chains), null);
  const listener = listenerOf([chainOf({ name: 'port', match: { ...chainOf({}).match, destinationPort: 1 } })], {
    defaultChain: chainOf({ name: 'default' }),
  });
  t.is(matchChain(listener, facts)?.name, 'default');
});
