import type { FilterChain, Listener } from '../config/table.ts';
import type { Addresses, ConnectionFacts } from './connection.ts';
import type { ClientHello } from './detect.ts';
import type { Terminated } from './tls-server.ts';

let lastId = 0;

/** Puts together what accept, inspection and the handshake have shown. */
export function connectionFacts(
  listener: Listener,
  chain: FilterChain,
  addresses: Addresses,
  hello: ClientHello | null,
  terminated: Terminated | null,
): ConnectionFacts {
  return {
    id: ++lastId,
    ...addresses,
    listener: listener.name,
    filterChain: chain.name,
    direction: listener.direction,
    tls: terminated !== null,
    mtls: terminated?.peer != null,
    ownPrincipal: terminated?.ownCertificate?.uriSans[0] ?? '',
    peer: terminated?.peer ?? null,
    ownCertificate: terminated?.ownCertificate ?? null,
    sni: hello?.sni ?? '',
    offeredAlpn: hello?.alpn ?? [],
    alpn: terminated?.alpn ?? '',
    tlsVersion: terminated?.version ?? '',
    tlsCipher: terminated?.cipher ?? '',
    acceptedAtMs: Date.now(),
  };
}

/** Facts of a connection that carries no request, for rules that look at the connection alone. */
export function factsWithoutRequest(facts: ConnectionFacts) {
  return {
    method: '',
    path: '',
    authority: '',
    scheme: facts.tls ? ('https' as const) : ('http' as const),
    header: () => null,
    headerValues: () => [],
    peer: facts.peer,
    mtls: facts.mtls,
    sni: facts.sni,
    source: facts.socketRemote,
    client: facts.remote,
    destination: facts.local,
    dynamicMetadata: null,
    random: 0,
  };
}
