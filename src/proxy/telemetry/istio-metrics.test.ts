import test from 'ava';
import type { Exchange, TcpSession } from '../http/exchange.ts';
import { IstioMetrics, istioText } from './istio-metrics.ts';
import { workloadOfNode } from './workload.ts';

const workload = workloadOfNode({
  WORKLOAD_NAME: 'front-v1',
  NAMESPACE: 'shop',
  LABELS: { app: 'front', version: 'v1' },
  CLUSTER_ID: 'k',
});

function exchange(more: object = {}): Exchange {
  return {
    connection: { direction: 'outbound', mtls: false, peer: null },
    listener: {},
    cluster: {
      name: 'outbound|80||cart',
      service: { host: 'cart.shop.svc.cluster.local', name: 'cart', namespace: 'shop' },
    },
    endpoint: { workload: 'cart-v2;shop;cart;v2;k' },
    upstreamMtls: true,
    authority: 'cart:80',
    status: 200,
    flags: '',
    startTick: 0,
    endTick: 7,
    requestHeaderBytes: 1,
    requestBodyBytes: 2,
    responseHeaderBytes: 3,
    responseBodyBytes: 4,
    grpc: false,
    responseHeader: () => null,
    responseTrailer: () => null,
    ...more,
  } as unknown as Exchange;
}

function metrics(): IstioMetrics {
  if (!workload) throw new Error('no workload');
  return new IstioMetrics({ workload, principal: 'spiffe://cluster.local/ns/shop/sa/front' });
}

test('a request from here, with the labels of both sides', (t) => {
  const counted = metrics();
  const one = exchange();
  counted.http(one);
  counted.http({ ...one, endpoint: { workload: 'cart-v2;shop;cart;v2;k' } } as unknown as Exchange);
  const text = istioText(counted.list());
  t.is(
    text.split('\n')[1],
    'istio_requests_total{reporter="source",source_workload="front-v1",source_canonical_service="front",source_canonical_revision="v1",source_workload_namespace="shop",source_app="front",source_version="v1",source_cluster="k",source_principal="spiffe://cluster.local/ns/shop/sa/front",destination_workload="cart-v2",destination_canonical_service="cart",destination_canonical_revision="v2",destination_workload_namespace="shop",destination_app="cart",destination_version="v2",destination_cluster="k",destination_principal="unknown",destination_service="cart.shop.svc.cluster.local",destination_service_name="cart",destination_service_namespace="shop",request_protocol="http",response_code="200",grpc_response_status="",response_flags="-",connection_security_policy="unknown"} 2',
  );
  t.regex(text, /istio_request_duration_milliseconds_bucket\{.*,le="5"\} 0\n.*,le="10"\} 2\n/);
  t.regex(text, /istio_request_bytes_sum\{.*\} 6\n/);
});

test('series of a destination that is gone are told for two minutes more', (t) => {
  const counted = metrics();
  counted.http(exchange({ endTick: 1000 }));
  counted.http(exchange({ endTick: 2000, cluster: { name: 'other' } }));
  const names = () => counted.list().filter(({ family }) => family === 'istio_requests_total').length;
  const only = new Map([['other', {}]]);
  counted.forgetGone(only, 121_000);
  t.is(names(), 2);
  counted.forgetGone(only, 121_001);
  t.is(names(), 1);
  counted.http(exchange({ endTick: 200_000 }));
  t.is(names(), 2);
});

test('gRPC has its status, a refused caller its identity', (t) => {
  const counted = metrics();
  counted.http(
    exchange({
      grpc: true,
      responseTrailer: () => '5',
    }),
  );
  const peer = { principal: 'spiffe://cluster.local/ns/evil/sa/x' };
  counted.http(exchange({ connection: { direction: 'inbound', mtls: true, peer }, endpoint: null, status: 403 }));
  const text = istioText(counted.list());
  t.regex(text, /request_protocol="grpc",response_code="200",grpc_response_status="5"/);
  t.regex(
    text,
    /reporter="destination",source_workload="unknown".*source_workload_namespace="evil".*source_principal="spiffe:\/\/cluster\.local\/ns\/evil\/sa\/x",destination_workload="front-v1".*connection_security_policy="mutual_tls"\} 1/,
  );
});

test('the number of series has a limit', (t) => {
  const counted = metrics();
  for (let i = 0; i < 5000; i++) counted.http(exchange({ endpoint: { workload: `w${i};ns;c;v;k` } }));
  const lines = istioText(counted.list())
    .split('\n')
    .filter((line) => line.startsWith('istio_requests_total'));
  t.is(lines.length, 4001);
  t.is(lines.at(-1), 'istio_requests_total{reporter="overflow"} 1000');
});

test('connections count when they open and close', (t) => {
  const counted = metrics();
  const session = { ...exchange(), receivedBytes: 10, sentBytes: 20 } as unknown as TcpSession;
  counted.tcpOpened(session);
  counted.tcpClosed(session);
  const text = istioText(counted.list());
  t.regex(text, /istio_tcp_connections_opened_total\{.*request_protocol="tcp".*\} 1\n/);
  t.regex(text, /istio_tcp_received_bytes_total\{.*\} 10\n/);
  t.regex(text, /istio_tcp_sent_bytes_total\{.*\} 20\n/);
});
