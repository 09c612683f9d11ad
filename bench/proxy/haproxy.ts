/** HAProxy doing the same work, as a proxy to compare with. */
import { readFileSync } from 'node:fs';
import type { Command } from './contender.ts';
import type { Scene } from './scene.ts';
import type { Work } from './work.ts';

export function haproxyProxy(scene: Scene, program: string, work: Work): Command {
  const { name, port, downstreamTls, upstreamTls, tcp } = work;
  const chain = (file: string, { chain, key }: Scene['server']) =>
    scene.file(file, `${readFileSync(chain, 'utf8')}\n${readFileSync(key, 'utf8')}`);
  const bind = downstreamTls ? ` ssl crt ${chain(`haproxy-${name}-server.pem`, scene.server)} ssl-min-ver TLSv1.3` : '';
  const verify = downstreamTls === 'mutual' ? ` verify required ca-file ${scene.roots}` : '';
  const secure = upstreamTls
    ? ` ssl crt ${chain(`haproxy-${name}-client.pem`, scene.client)} verify required ca-file ${scene.roots} ssl-min-ver TLSv1.3`
    : '';
  const upstream = work.upstreamPort ?? (upstreamTls ? scene.upstream.tls : scene.upstream.http);
  const text = `global
  nbthread 1
  maxconn 4096
defaults
  mode ${tcp ? 'tcp' : 'http'}
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  ${tcp ? 'option splice-auto' : 'http-reuse always'}
frontend in
  bind 127.0.0.1:${port} backlog 4096${bind}${verify}
  ${tcp ? '' : 'http-request set-header x-request-id %[uuid()]'}
  default_backend out
backend out
  server up 127.0.0.1:${upstream}${tcp ? '' : ' pool-max-conn 256'}${secure}
`;
  return { argv: [program, '-db', '-f', scene.file(`haproxy-${name}.cfg`, text)] };
}
