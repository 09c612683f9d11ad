import test from 'ava';
import { parse } from 'yaml';
import type { Telemetry } from '../../api/istio/telemetry.ts';
import type { Finding } from './access-logging.ts';
import { metricRulesOf } from './metric-rules.ts';

const telemetry = (place: string, spec: string): Telemetry => {
  const [namespace, name] = place.split('/');
  return {
    apiVersion: 'telemetry.istio.io/v1',
    kind: 'Telemetry',
    metadata: { namespace, name },
    spec: parse(spec),
  } as Telemetry;
};

function rules(...telemetries: Telemetry[]) {
  const found: Finding[] = [];
  const made = metricRulesOf(telemetries, 'istio-system', 'shop', { app: 'cart' }, found);
  return { made, told: found.map(({ path }) => path) };
}

const dropping = (metric: string, disabled: boolean, more = '') =>
  `{metrics: [{overrides: [{match: {metric: ${metric}${more}}, disabled: ${disabled}}]}]}`;

test('the workload has the last word after its namespace and the mesh', (t) => {
  const mesh = telemetry('istio-system/mesh', dropping('ALL_METRICS', true));
  const namespace = telemetry('shop/all', dropping('REQUEST_COUNT', false));
  const workload = telemetry(
    'shop/cart',
    '{selector: {matchLabels: {app: cart}}, metrics: [{overrides: [{match: {metric: TCP_SENT_BYTES, mode: SERVER}, disabled: false}]}]}',
  );
  const other = telemetry(
    'shop/other',
    '{selector: {matchLabels: {app: other}}, metrics: [{overrides: [{disabled: false}]}]}',
  );
  const { made, told } = rules(mesh, namespace, workload, other);
  t.deepEqual(told, []);
  t.is(made?.client.drop.length, 7);
  t.false(made?.client.drop.includes('istio_requests_total'));
  t.true(made?.client.drop.includes('istio_tcp_sent_bytes_total'));
  t.false(made?.server.drop.includes('istio_tcp_sent_bytes_total'));
  t.is(rules(mesh, telemetry('shop/all', dropping('ALL_METRICS', false))).made, null);
  t.is(rules(telemetry('elsewhere/all', dropping('ALL_METRICS', true))).made, null);
});

test('labels are taken away on the side that is meant; what has no effect is told', (t) => {
  const { made, told } = rules(
    telemetry(
      'shop/all',
      `{metrics: [{providers: [{name: prometheus}, {name: other}], overrides: [
        {match: {metric: REQUEST_COUNT, mode: CLIENT}, tagOverrides: {response_flags: {operation: REMOVE}, source_app: {operation: REMOVE}, host: {value: request.host}}},
        {match: {customMetric: mine}, disabled: true}]}, {providers: [{name: other}], overrides: [{disabled: true}]}]}`,
    ),
  );
  t.deepEqual(made, {
    client: { drop: [], remove: { istio_requests_total: ['response_flags', 'source_app'] } },
    server: { drop: [], remove: {} },
  });
  t.deepEqual(told, [
    'spec.metrics[0].providers',
    'spec.metrics[0].overrides[0].tagOverrides.host',
    'spec.metrics[0].overrides[1].match.customMetric',
    'spec.metrics[1].providers',
  ]);
});
