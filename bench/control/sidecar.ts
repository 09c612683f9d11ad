/** What a sidecar of ours takes that knows the whole mesh. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { bundlePrograms } from '../../tools/bundle.ts';
import { proxySettings } from '../../tools/image/node-settings.ts';
import { clientNode } from './clients.ts';

const top = join(import.meta.dirname, '../..');
/** By then it has forgotten its start, and what it took to read the configuration (src/proxy/forget-start.ts). */
const settledMs = 15_000;

/** MiB resident of a proxy, started as the image starts it, that takes all that the control plane on `port` has for the first client. */
export async function sidecarMib(port: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-bench-'));
  const app = join(folder, 'app');
  await bundlePrograms(app);
  symlinkSync(join(top, 'node_modules'), join(app, 'node_modules'));
  const file = join(folder, 'bootstrap.json');
  writeFileSync(file, JSON.stringify(bootstrap(port)));
  const argv = [...proxySettings.flags, join(app, 'main.mjs'), 'proxy', '-c', file];
  const proxy = spawn(process.execPath, argv, {
    stdio: 'ignore',
    env: { ...process.env, ...proxySettings.environment },
  });
  try {
    await pause(settledMs);
    if (proxy.exitCode !== null) throw new Error(`the sidecar ended with ${proxy.exitCode}`);
    const rollup = readFileSync(`/proc/${proxy.pid}/smaps_rollup`, 'utf8');
    return Number(/^Rss:\s+(\d+) kB$/m.exec(rollup)?.[1]) / 1024;
  } finally {
    proxy.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

const http2 = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

function bootstrap(port: number): object {
  const source = { ads: {}, resource_api_version: 'V3' };
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  return {
    node: { ...clientNode(0, 1), cluster: 'client' },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
      cds_config: source,
      lds_config: source,
    },
    static_resources: {
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          connect_timeout: '1s',
          typed_extension_protocol_options: {
            [http2]: { '@type': `type.googleapis.com/${http2}`, explicit_http_config: { http2_protocol_options: {} } },
          },
          load_assignment: { cluster_name: 'xds', endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
        },
      ],
    },
  };
}
