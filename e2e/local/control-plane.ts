import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { addresses, type Layout } from './layout.ts';
import type { Node } from './node.ts';
import { until } from './until.ts';

/**
 * The control plane runs as processes in the first node's namespaces, not as pods, so the API server reaches ClusterIPs
 * (webhooks) by kube-proxy's rules there.
 */
export function startApiServer(node: Node, layout: Layout): void {
  const at = (name: string) => join(layout.pki, name);
  node.runKube('etcd', [join(layout.folder, 'etcd')]);
  node.runKube('kube-apiserver', [
    '--etcd-servers=http://127.0.0.1:2379',
    `--advertise-address=${addresses.api}`,
    `--secure-port=${addresses.apiPort}`,
    `--service-cluster-ip-range=${addresses.services}`,
    '--allow-privileged=true',
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    `--client-ca-file=${at('ca.crt')}`,
    `--tls-cert-file=${at('apiserver.crt')}`,
    `--tls-private-key-file=${at('apiserver.key')}`,
    `--kubelet-certificate-authority=${at('ca.crt')}`,
    `--kubelet-client-certificate=${at('apiserver-kubelet.crt')}`,
    `--kubelet-client-key=${at('apiserver-kubelet.key')}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${at('tokens.pub')}`,
    `--service-account-signing-key-file=${at('tokens.key')}`,
    '--profiling=false',
  ]);
}

export function startControllers(node: Node, layout: Layout): void {
  const at = (name: string) => join(layout.pki, name);
  node.runKube('kube-controller-manager', [
    `--kubeconfig=${at('kube-controller-manager.kubeconfig')}`,
    '--leader-elect=false',
    '--use-service-account-credentials=true',
    `--service-account-private-key-file=${at('tokens.key')}`,
    `--root-ca-file=${at('ca.crt')}`,
    `--cluster-signing-cert-file=${at('ca.crt')}`,
    `--cluster-signing-key-file=${at('ca.key')}`,
    // The defaults, 20 and 30, make a fresh cluster wait for seconds.
    '--kube-api-qps=200',
    '--kube-api-burst=400',
  ]);
  node.runKube('kube-scheduler', [`--kubeconfig=${at('kube-scheduler.kubeconfig')}`, '--leader-elect=false']);
}

/** One more process beside the control plane; pods reach it through the Service `kube-dns`. */
export function startDns(node: Node, layout: Layout): void {
  const file = join(layout.folder, 'Corefile');
  writeFileSync(
    file,
    [
      'cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {',
      `  bind ${addresses.api}`,
      '  errors',
      '  ready 127.0.0.1:8181',
      '  kubernetes cluster.local in-addr.arpa ip6.arpa {',
      `    kubeconfig ${join(layout.pki, 'coredns.kubeconfig')}`,
      '    pods insecure',
      '  }',
      '  cache 5',
      '}',
      // Apart, since "template" comes before "kubernetes" in CoreDNS's order of plug-ins whatever a block's order is.
      '.:53 {',
      `  bind ${addresses.api}`,
      '  template ANY ANY {',
      '    rcode NXDOMAIN',
      '  }',
      '}',
      '',
    ].join('\n'),
  );
  node.runKube('coredns', ['-conf', file]);
}

const dnsPorts = [
  { name: 'dns', port: 53, protocol: 'UDP' },
  { name: 'dns-tcp', port: 53, protocol: 'TCP' },
];

/** What the cluster's own parts need in the API, as objects for `kubectl apply`. */
export function systemObjects(): object {
  const label = { 'k8s-app': 'kube-dns' };
  const rbac = 'rbac.authorization.k8s.io';
  const items = [
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRole',
      metadata: { name: 'system:coredns' },
      rules: [
        { apiGroups: [''], resources: ['endpoints', 'services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
        { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
      ],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name: 'system:coredns' },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'system:coredns' },
      subjects: [{ apiGroup: rbac, kind: 'User', name: 'system:coredns' }],
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'kube-dns', namespace: 'kube-system', labels: label },
      spec: { clusterIP: addresses.dns, ports: dnsPorts },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: 'kube-dns',
        namespace: 'kube-system',
        labels: { ...label, 'kubernetes.io/service-name': 'kube-dns' },
      },
      addressType: 'IPv4',
      ports: dnsPorts,
      endpoints: [{ addresses: [addresses.api], conditions: { ready: true } }],
    },
  ];
  return { apiVersion: 'v1', kind: 'List', items };
}

/** Reads the API as cluster admin through a loopback port, without a client that takes long to start. */
export class ApiProbe {
  readonly #port: number;
  readonly #credentials: { ca: Buffer; cert: Buffer; key: Buffer };

  constructor(port: number, pki: string) {
    const read = (name: string) => readFileSync(join(pki, name));
    this.#port = port;
    this.#credentials = { ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key') };
  }

  /** The body of a GET that was answered with 200, or null for every other outcome. */
  get(path: string): Promise<string | null> {
    const { promise, resolve } = Promise.withResolvers<string | null>();
    const options = { host: '127.0.0.1', port: this.#port, path, ...this.#credentials, agent: false, timeout: 5_000 };
    const asked = request(options, (answer) => {
      const body: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => body.push(chunk));
      answer.on('end', () => resolve(answer.statusCode === 200 ? Buffer.concat(body).toString() : null));
      answer.on('error', () => resolve(null));
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('error', () => resolve(null));
    asked.end();
    return promise;
  }

  async apiReady(): Promise<void> {
    await until('the API server', 60_000, () => this.get('/readyz'));
  }

  async nodeReady(name: string): Promise<void> {
    await until(`node ${name}`, 60_000, async () => {
      const text = await this.get(`/api/v1/nodes/${name}`);
      if (!text) return false;
      const node: { status?: { conditions?: { type: string; status: string }[] } } = JSON.parse(text);
      return node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
    });
  }

  async defaultAccountMade(): Promise<void> {
    await until('the default service account', 30_000, () =>
      this.get('/api/v1/namespaces/default/serviceaccounts/default'),
    );
  }
}
