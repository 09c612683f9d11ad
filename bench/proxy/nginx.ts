/** nginx as the upstream, and as a proxy to compare with. */
import type { Command } from './contender.ts';
import type { Scene } from './scene.ts';
import type { Work } from './work.ts';

/** 1,024 bytes of JSON. */
const body = `[${'{"id":12345,"name":"example"},'.repeat(33)}"${'x'.repeat(30)}"]`;
/** As long as a small message; a proxy does not look into the five bytes before it. */
const grpcBody = '-----abcdefghijklmnopqrstuvwxyz0123456789';

function configuration(scene: Scene, program: string, name: string, servers: string): Command {
  const at = `${scene.folder}/nginx-${name}`;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${at}-${kind};`,
  );
  const text = `worker_processes 1; daemon off; master_process off; pid ${at}.pid; error_log ${at}.err; worker_rlimit_nofile 20000;
events { worker_connections 16384; }
http {
  access_log off; server_tokens off; keepalive_requests 1000000000; keepalive_timeout 600s; ${temporary.join(' ')}
${servers}
}
`;
  return { argv: [program, '-c', scene.file(`nginx-${name}.conf`, text)] };
}

const certificate = ({ server, roots }: Scene, verify: boolean) =>
  `ssl_certificate ${server.chain}; ssl_certificate_key ${server.key}; ssl_protocols TLSv1.3; ssl_session_cache shared:s:4m;
    ssl_client_certificate ${roots}; ssl_verify_client ${verify ? 'on' : 'off'};`;

/** Answers everything at once, on every port of `scene.upstream`. */
export function upstreamConfig(scene: Scene): Command {
  const { http, tls, grpc } = scene.upstream;
  return configuration(
    scene,
    'nginx',
    'upstream',
    `  server {
    listen 127.0.0.1:${http} backlog=4096; default_type application/json;
    location / { return 200 '${body}'; }
  }
  server {
    listen 127.0.0.1:${tls} ssl backlog=4096; default_type application/json;
    ${certificate(scene, true)}
    location / { return 200 '${body}'; }
  }
  server {
    listen 127.0.0.1:${grpc} http2 backlog=4096; http2_max_concurrent_streams 1024;
    location / { default_type application/json; return 200 '${body}'; }
    location /bench. { default_type application/grpc; add_trailer grpc-status 0; return 200 '${grpcBody}'; }
  }`,
  );
}

/** What nginx needs to do the same work: HTTP/1.1 with or without TLS on either side. */
export function nginxProxy(scene: Scene, program: string, work: Work): Command {
  const { name, port, downstreamTls, upstreamTls } = work;
  const upstream = work.upstreamPort ?? (upstreamTls ? scene.upstream.tls : scene.upstream.http);
  const secure = upstreamTls
    ? `proxy_ssl_certificate ${scene.client.chain}; proxy_ssl_certificate_key ${scene.client.key}; proxy_ssl_protocols TLSv1.3;`
    : '';
  return configuration(
    scene,
    program,
    name,
    `  upstream up {
    server 127.0.0.1:${upstream}; keepalive 256; keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port}${downstreamTls ? ' ssl' : ''} backlog=4096;
    ${downstreamTls ? certificate(scene, downstreamTls === 'mutual') : ''}
    location / {
      proxy_pass ${upstreamTls ? 'https' : 'http'}://up; proxy_http_version 1.1; proxy_set_header Connection '';
      proxy_set_header x-request-id $request_id; proxy_set_header x-forwarded-proto ${downstreamTls ? 'https' : 'http'};
      ${secure}
    }
  }`,
  );
}
