import type { machine } from '../machine.ts';
import { table } from '../markdown.ts';
import { summarize } from '../statistics.ts';
import type { ControlResult, Measured } from './run.ts';

const names: Readonly<Record<Measured['what'], string>> = {
  connect: 'all connect at once',
  endpoint: 'an endpoint changes',
  virtualService: 'a VirtualService changes',
  service: 'a new Service',
  everything: 'everything changes (mesh configuration)',
  nothing: 'a change that alters nothing',
};

/** Istio's, of 1,000 services with two endpoints and 200 clients on a machine of this size; null where there is none. */
const istio: Readonly<Record<Measured['what'], string>> = {
  connect: '8.0 s, 9.5 CPU s',
  endpoint: '0.05–0.06 CPU s, 0.8 KB a client',
  virtualService: 'last 1.2 s, 1.3 CPU s, 107 MB',
  service: '1.8–2.6 CPU s, 108 MB',
  everything: 'last 2.7 s, 3.5 CPU s, 373 MB',
  nothing: '',
};

export function controlReport(
  results: readonly ControlResult[],
  takenAt: string,
  command: string,
  on: ReturnType<typeof machine>,
): string {
  const parts = results.map((result) => {
    const { services, clients, namespaces } = result.scale;
    const isIstios = services === 1000 && clients === 200;
    const rows = (Object.keys(names) as Array<Measured['what']>).map((what) => {
      const samples = result.measured.filter((each) => each.what === what);
      const median = (of: (each: Measured) => number) => summarize(samples.map(of)).median;
      return [
        names[what],
        `${Math.round(median(({ lastMs }) => lastMs))}`,
        (median(({ cpuMs }) => cpuMs) / 1000).toFixed(2),
        (median(({ bytes }) => bytes) / 1e6).toFixed(2),
        (median(({ bytes }) => bytes) / 1000 / clients).toFixed(1),
        ...(isIstios ? [istio[what]] : []),
      ];
    });
    const { alone, connected, most } = result.rssMib;
    return [
      `## ${services.toLocaleString('en')} services of two endpoints, ${clients.toLocaleString('en')} clients in ${namespaces} namespaces`,
      `Each client holds ${result.resources.toLocaleString('en')} resources. Memory of the control plane: ${alone.toFixed(0)} MiB alone, ${connected.toFixed(0)} MiB with its clients, ${most.toFixed(0)} MiB at the most${isIstios ? ' (Istio: 270, 444 at the most)' : ''}. A sidecar that knows all of it has ${result.sidecarMib.toFixed(0)} MiB${isIstios ? ' (Istio: Envoy 135–141, its agent 30)' : ''}.`,
      table(['', 'last client ms', 'CPU s', 'sent MB', 'KB a client', ...(isIstios ? ['Istio'] : [])], rows),
    ].join('\n\n');
  });
  return `${[
    '# The control plane',
    `\`${command}\`, ${takenAt.slice(0, 10)}. ${on.cpu}, ${on.cores} cores, ${on.kernel}, Node ${on.node}.`,
    'A control plane with its objects in memory and delta-xDS clients that read nothing but names, over loopback. From the change to the last client’s acknowledgement, debouncing (100 ms for configuration, none for endpoints) among it; CPU of the control plane’s process; medians. A tenth of the services has a VirtualService; no Sidecar narrows what a client knows. Istio’s figures were taken on a machine of this size, through its own API server.',
    ...parts,
  ].join('\n\n')}\n`;
}
