/** The command line against a running mesh: what a proxy has, what becomes of a request, what is wrong. */
import { join } from 'node:path';
import test from 'ava';
import { attempt, type CommandResult } from '../cluster/command.ts';
import { cluster } from '../support/cluster.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';

evidenceOnFailure(test);

const command = join(import.meta.dirname, '../../bin/lateen');
const page = 'deployment/productpage-v1.default';

/** `lateen` as a user runs it. */
function lateen(...args: string[]): Promise<CommandResult> {
  return attempt([command, ...args], { env: { ...process.env, NO_COLOR: '1', KUBECONFIG: cluster.kubeconfig } });
}

/** Rows of a table, cells apart by more than one space. */
const rows = ({ stdout }: CommandResult): string[][] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => line.split(/ {2,}/));

test.serial('proxy-config: clusters, listeners, routes, endpoints and secrets of a running proxy', async (t) => {
  const reviews = 'reviews.default.svc.cluster.local';
  const clusters = await lateen('proxy-config', 'cluster', page, '--fqdn', 'reviews');
  t.is(clusters.code, 0, clusters.stderr);
  t.true(
    rows(clusters).some(
      ([host, port, , direction, type]) =>
        host === reviews && port === '9080' && direction === 'outbound' && type === 'EDS',
    ),
    clusters.stdout,
  );
  const listeners = await lateen('pc', 'listener', page);
  t.true(
    rows(listeners).some(([address, port, , to]) => address === '0.0.0.0' && port === '9080' && to === 'Route: 9080'),
    listeners.stdout,
  );
  t.true(
    rows(listeners).some(([, port]) => port === '15006'),
    listeners.stdout,
  );
  const routes = await lateen('pc', 'route', page, '--name', '9080');
  t.true(
    rows(routes).some(([name, host]) => name === '9080' && host === `${reviews}:9080`),
    routes.stdout,
  );
  const endpoints = await lateen('pc', 'endpoint', page, '--cluster', `outbound|9080||${reviews}`);
  const told = rows(endpoints).slice(1);
  t.true(told.length > 0 && told.every(([, status]) => status === 'HEALTHY'), endpoints.stdout);
  const secrets = await lateen('pc', 'secret', page);
  t.true(
    rows(secrets).some(
      ([name, type, status, valid]) =>
        name === 'default' && type === 'Cert Chain' && status === 'ACTIVE' && valid === 'true',
    ),
    secrets.stdout,
  );
  t.true(
    rows(secrets).some(([name, type]) => name === 'ROOTCA' && type === 'CA'),
    secrets.stdout,
  );
});

test.serial('explain: from one workload of the cluster to another', async (t) => {
  const { code, stdout, stderr } = await lateen('explain', 'http://reviews:9080/', '--from', page);
  t.is(code, 0, stderr);
  t.regex(stdout, /forwarded to .*outbound\|9080\|.*\|reviews\.default\.svc\.cluster\.local/);
  t.regex(stdout, /TLS +mutual TLS of the mesh/);
  t.regex(stdout, /Into reviews-v\d-.*: forwarded to inbound\|9080\|\|/);
});

test.serial('analyze: the whole cluster, as JSON and nothing else', async (t) => {
  const { stdout, code } = await lateen('analyze', '-A', '-o', 'json');
  t.true(code === 0 || code === 79);
  const found = JSON.parse(stdout) as Array<{ code: string; origin: string }>;
  t.true(found.every((finding) => /^(IST|LAT)\d{4}$/.test(finding.code) && finding.origin !== ''));
});
