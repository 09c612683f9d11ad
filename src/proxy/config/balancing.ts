import type { Any } from '@bufbuild/protobuf/wkt';
import type {
  Cluster_CommonLbConfig,
  Cluster as ClusterMessage,
  LoadBalancingPolicy,
} from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import {
  Cluster_CommonLbConfig_ZoneAwareLbConfigSchema,
  Cluster_CommonLbConfigSchema,
} from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { RuntimeDouble } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { ClusterProvidedSchema } from '../../xds/gen/envoy/extensions/load_balancing_policies/cluster_provided/v3/cluster_provided_pb.js';
import type { LocalityLbConfig } from '../../xds/gen/envoy/extensions/load_balancing_policies/common/v3/common_pb.js';
import { LeastRequestSchema } from '../../xds/gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.js';
import { MaglevSchema } from '../../xds/gen/envoy/extensions/load_balancing_policies/maglev/v3/maglev_pb.js';
import { RandomSchema } from '../../xds/gen/envoy/extensions/load_balancing_policies/random/v3/random_pb.js';
import { RingHashSchema } from '../../xds/gen/envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash_pb.js';
import { RoundRobinSchema } from '../../xds/gen/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin_pb.js';
import { SubsetSchema } from '../../xds/gen/envoy/extensions/load_balancing_policies/subset/v3/subset_pb.js';
import { WrrLocalitySchema } from '../../xds/gen/envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality_pb.js';
import type { Percent } from '../../xds/gen/envoy/type/v3/percent_pb.js';
import { durationMs, type Extensions, type Field, messageName, unpack, words } from './field.ts';
import { compileSubsets } from './subsets.ts';
import type { Cluster } from './table.ts';

/** How a cluster spreads its load, whichever way it was configured (Envoy: lb_policy or load_balancing_policy). */
type Balancing = Pick<
  Cluster,
  | 'policy'
  | 'leastRequestChoices'
  | 'activeRequestBias'
  | 'fullScan'
  | 'ring'
  | 'hashBalancePercent'
  | 'slowStart'
  | 'localityWeighted'
  | 'panicThresholdPercent'
  | 'failsInPanic'
  | 'zoneAware'
  | 'subsets'
>;

const knownCommon = words(`healthy_panic_threshold zone_aware_lb_config locality_weighted_lb_config update_merge_window
  ignore_new_hosts_until_first_hc close_connections_on_host_set_change consistent_hashing_lb_config`);
const policies: Readonly<Record<number, Balancing['policy']>> = {
  0: 'roundRobin',
  1: 'leastRequest',
  2: 'ringHash',
  3: 'random',
  5: 'maglev',
  6: 'clusterProvided',
};
/** Envoy's own limit of maximum_ring_size. */
const maxRingSize = 8 << 20;
const maxMaglevSize = 5_000_011;

/** Envoy's: in force as soon as the proxy knows its own cluster. */
const zoneDefaults = { enabledPercent: 100, minHosts: 6 };

const defaults: Balancing = {
  policy: 'roundRobin',
  leastRequestChoices: 2,
  activeRequestBias: 1,
  fullScan: false,
  ring: { min: 1024, max: maxRingSize, murmur: false, tableSize: 65_537, byHostname: false },
  hashBalancePercent: 0,
  slowStart: null,
  localityWeighted: false,
  panicThresholdPercent: 50,
  failsInPanic: false,
  zoneAware: zoneDefaults,
  subsets: null,
};

/** Policies by extension take the place of everything else that says how to balance (Envoy: load_balancing_policy). */
export function compileBalancing(field: Field, message: ClusterMessage, discovery: Cluster['discovery']): Balancing {
  const common = message.commonLbConfig;
  if (common) checkCommon(field.at('common_lb_config'), common);
  const balancing = message.loadBalancingPolicy
    ? {
        ...compilePolicies(field.at('load_balancing_policy'), message.loadBalancingPolicy),
        panicThresholdPercent: common?.healthyPanicThreshold?.value ?? 50,
      }
    : compileLegacy(field, message);
  if (balancing.policy === 'clusterProvided' && discovery !== 'originalDst' && discovery !== 'aggregate')
    field.at('lb_policy').fail('CLUSTER_PROVIDED needs a cluster that provides one');
  if (balancing.ring.byHostname && discovery !== 'strictDns')
    field
      .at('common_lb_config')
      .at('consistent_hashing_lb_config')
      .at('use_hostname_for_hashing')
      .fail('needs STRICT_DNS');
  if (balancing.subsets && discovery === 'originalDst')
    field.at('lb_subset_config').fail('is not for clusters of original destinations');
  return balancing;
}

function checkCommon(field: Field, common: Cluster_CommonLbConfig): void {
  field.only(Cluster_CommonLbConfigSchema, common, knownCommon);
  const zone = common.localityConfigSpecifier;
  if (zone.case === 'zoneAwareLbConfig')
    field
      .at('zone_aware_lb_config')
      .only(
        Cluster_CommonLbConfig_ZoneAwareLbConfigSchema,
        zone.value,
        words('routing_enabled min_cluster_size fail_traffic_on_panic'),
      );
}

function compileLegacy(field: Field, message: ClusterMessage): Balancing {
  const policy = policies[message.lbPolicy];
  if (!policy) field.at('lb_policy').fail(`${message.lbPolicy} is not supported`);
  const { lbConfig, commonLbConfig: common } = message;
  const zone = common?.localityConfigSpecifier;
  const hashing = compileHashing(
    field.at('common_lb_config').at('consistent_hashing_lb_config'),
    common?.consistentHashingLbConfig,
  );
  const { byHostname } = hashing;
  let balancing: Balancing = {
    ...defaults,
    policy: policy ?? 'roundRobin',
    panicThresholdPercent: common?.healthyPanicThreshold?.value ?? 50,
    localityWeighted: zone?.case === 'localityWeightedLbConfig',
    failsInPanic: zone?.case === 'zoneAwareLbConfig' && zone.value.failTrafficOnPanic,
    zoneAware: zone?.case === 'zoneAwareLbConfig' ? compileZone(zone.value) : zoneDefaults,
    ring: { ...defaults.ring, byHostname },
    hashBalancePercent: hashing.hashBalancePercent,
    subsets: message.lbSubsetConfig ? compileSubsets(field.at('lb_subset_config'), message.lbSubsetConfig) : null,
  };
  if (lbConfig.case === 'ringHashLbConfig') {
    const { minimumRingSize, maximumRingSize, hashFunction } = lbConfig.value;
    const at = field.at('ring_hash_lb_config');
    balancing = {
      ...balancing,
      ring: { ...balancing.ring, ...compileRing(at, minimumRingSize, maximumRingSize, hashFunction === 1) },
    };
  } else if (lbConfig.case === 'maglevLbConfig')
    balancing = {
      ...balancing,
      ring: { ...balancing.ring, tableSize: compileMaglev(field.at('maglev_lb_config'), lbConfig.value.tableSize) },
    };
  else if (lbConfig.case === 'leastRequestLbConfig') {
    const { choiceCount, activeRequestBias, slowStartConfig } = lbConfig.value;
    const at = field.at('least_request_lb_config');
    balancing = { ...balancing, ...compileLeast(at, choiceCount, activeRequestBias, slowStartConfig) };
  } else if (lbConfig.case === 'roundRobinLbConfig')
    balancing = {
      ...balancing,
      slowStart: compileSlowStart(field.at('round_robin_lb_config'), lbConfig.value.slowStartConfig),
    };
  return balancing;
}

function compileHashing(
  field: Field,
  config: { readonly useHostnameForHashing: boolean; readonly hashBalanceFactor?: number } | undefined,
): { byHostname: boolean; hashBalancePercent: number } {
  const percent = config?.hashBalanceFactor ?? 0;
  if (config?.hashBalanceFactor !== undefined && percent < 100)
    field.at('hash_balance_factor').fail(`${percent} is less than 100`);
  return { byHostname: config?.useHostnameForHashing ?? false, hashBalancePercent: percent };
}

function compileRing(
  field: Field,
  min: bigint | undefined,
  max: bigint | undefined,
  murmur: boolean,
): Pick<Balancing['ring'], 'min' | 'max' | 'murmur'> {
  const size = { min: Number(min ?? 1024n), max: Number(max ?? BigInt(maxRingSize)) };
  if (size.max > maxRingSize) field.at('maximum_ring_size').fail(`${size.max} is more than ${maxRingSize}`);
  if (size.min > size.max) field.at('minimum_ring_size').fail(`${size.min} is more than maximum_ring_size ${size.max}`);
  return { ...size, murmur };
}

function compileMaglev(field: Field, given: bigint | undefined): number {
  const size = Number(given ?? 65_537n);
  if (size > maxMaglevSize || !isPrime(size))
    field.at('table_size').fail(`${size} is no prime number of at most ${maxMaglevSize}`);
  return size;
}

function isPrime(number: number): boolean {
  if (number < 2) return false;
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return true;
}

function compileLeast(
  field: Field,
  choices: number | undefined,
  bias: RuntimeDouble | undefined,
  slowStart: SlowStartMessage | undefined,
): Pick<Balancing, 'leastRequestChoices' | 'activeRequestBias' | 'slowStart'> {
  if (choices !== undefined && choices < 2) field.at('choice_count').fail(`${choices} is less than 2`);
  const activeRequestBias = bias?.defaultValue ?? 1;
  if (activeRequestBias < 0) field.at('active_request_bias').fail('is less than 0');
  return { leastRequestChoices: choices ?? 2, activeRequestBias, slowStart: compileSlowStart(field, slowStart) };
}

interface SlowStartMessage {
  readonly slowStartWindow?: Parameters<typeof durationMs>[0];
  readonly aggression?: RuntimeDouble;
  readonly minWeightPercent?: Percent;
}

function compileSlowStart(field: Field, message: SlowStartMessage | undefined): Balancing['slowStart'] {
  const windowMs = durationMs(message?.slowStartWindow, 0);
  if (windowMs <= 0) return null;
  const aggression = message?.aggression?.defaultValue ?? 1;
  if (aggression <= 0) field.at('slow_start_config').at('aggression').fail('must be more than 0');
  return { windowMs, aggression, leastShare: (message?.minWeightPercent?.value ?? 10) / 100 };
}

function compileZone(zone: {
  readonly routingEnabled?: Percent;
  readonly minClusterSize?: bigint;
}): NonNullable<Balancing['zoneAware']> {
  return {
    enabledPercent: zone.routingEnabled?.value ?? zoneDefaults.enabledPercent,
    minHosts: Number(zone.minClusterSize ?? BigInt(zoneDefaults.minHosts)),
  };
}

type Part = Partial<Balancing>;

/** The first that is known counts, as in Envoy. */
function compilePolicies(field: Field, { policies: given }: LoadBalancingPolicy): Balancing {
  for (const [i, { typedExtensionConfig }] of given.entries()) {
    const any = typedExtensionConfig?.typedConfig;
    const name = any ? messageName(any) : '';
    if (!any || !Object.hasOwn(extensions, name)) continue;
    const at = field.at('policies', i).at('typed_extension_config').at('typed_config');
    return { ...defaults, ...extensions[name](at, any) };
  }
  field.at('policies').fail('has no policy that is supported');
  return defaults;
}

function localityPart(locality: LocalityLbConfig | undefined): Part {
  const given = locality?.localityConfigSpecifier;
  return {
    localityWeighted: given?.case === 'localityWeightedLbConfig',
    failsInPanic: given?.case === 'zoneAwareLbConfig' && given.value.failTrafficOnPanic,
    zoneAware: given?.case === 'zoneAwareLbConfig' ? compileZone(given.value) : zoneDefaults,
  };
}

const extensions: Extensions<Part> = {
  [RoundRobinSchema.typeName](field: Field, any: Any) {
    const message = unpack(field, any, RoundRobinSchema);
    return { slowStart: compileSlowStart(field, message?.slowStartConfig), ...localityPart(message?.localityLbConfig) };
  },
  [LeastRequestSchema.typeName](field: Field, any: Any) {
    const message = unpack(field, any, LeastRequestSchema);
    return {
      policy: 'leastRequest',
      ...compileLeast(field, message?.choiceCount, message?.activeRequestBias, message?.slowStartConfig),
      fullScan: message?.selectionMethod === 1 || message?.enableFullScan === true,
      ...localityPart(message?.localityLbConfig),
    };
  },
  [RandomSchema.typeName](field: Field, any: Any) {
    return { policy: 'random', ...localityPart(unpack(field, any, RandomSchema)?.localityLbConfig) };
  },
  [RingHashSchema.typeName](field: Field, any: Any) {
    const message = unpack(field, any, RingHashSchema);
    const { byHostname, hashBalancePercent } = compileHashing(
      field,
      message?.consistentHashingLbConfig ?? message ?? undefined,
    );
    const ring = compileRing(field, message?.minimumRingSize, message?.maximumRingSize, message?.hashFunction === 2);
    return {
      policy: 'ringHash',
      ring: { ...defaults.ring, ...ring, byHostname },
      hashBalancePercent,
      localityWeighted: message?.localityWeightedLbConfig !== undefined,
    };
  },
  [MaglevSchema.typeName](field: Field, any: Any) {
    const message = unpack(field, any, MaglevSchema);
    const at = field.at('consistent_hashing_lb_config');
    const { byHostname, hashBalancePercent } = compileHashing(at, message?.consistentHashingLbConfig);
    return {
      policy: 'maglev',
      ring: { ...defaults.ring, tableSize: compileMaglev(field, message?.tableSize), byHostname },
      hashBalancePercent,
      localityWeighted: message?.localityWeightedLbConfig !== undefined,
    };
  },
  [ClusterProvidedSchema.typeName]: () => ({ policy: 'clusterProvided' }),
  [WrrLocalitySchema.typeName](field: Field, any: Any) {
    const inner = unpack(field, any, WrrLocalitySchema)?.endpointPickingPolicy;
    if (!inner) field.at('endpoint_picking_policy').fail('is missing');
    return {
      ...(inner && compilePolicies(field.at('endpoint_picking_policy'), inner)),
      localityWeighted: true,
    };
  },
  [SubsetSchema.typeName](field: Field, any: Any) {
    const message = unpack(field, any, SubsetSchema);
    if (message === null) return {};
    if (!message.subsetLbPolicy) field.at('subset_lb_policy').fail('is missing');
    return {
      ...(message.subsetLbPolicy && compilePolicies(field.at('subset_lb_policy'), message.subsetLbPolicy)),
      subsets: compileSubsets(field, message),
    };
  },
};
