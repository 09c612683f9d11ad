/** Envoy's response flags, short and long, in the order in which it writes them (Envoy documentation, "Access logging", %RESPONSE_FLAGS%). */
const longNames: Readonly<Record<string, string>> = {
  LH: 'FailedLocalHealthCheck',
  UH: 'NoHealthyUpstream',
  UT: 'UpstreamRequestTimeout',
  LR: 'LocalReset',
  UR: 'UpstreamRemoteReset',
  UF: 'UpstreamConnectionFailure',
  UC: 'UpstreamConnectionTermination',
  UO: 'UpstreamOverflow',
  NR: 'NoRouteFound',
  DI: 'DelayInjected',
  FI: 'FaultInjected',
  RL: 'RateLimited',
  UAEX: 'UnauthorizedExternalService',
  RLSE: 'RateLimitServiceError',
  DC: 'DownstreamConnectionTermination',
  URX: 'UpstreamRetryLimitExceeded',
  SI: 'StreamIdleTimeout',
  IH: 'InvalidEnvoyRequestHeaders',
  DPE: 'DownstreamProtocolError',
  UMSDR: 'UpstreamMaxStreamDurationReached',
  RFCF: 'ResponseFromCacheFilter',
  NFCF: 'NoFilterConfigFound',
  DT: 'DurationTimeout',
  UPE: 'UpstreamProtocolError',
  NC: 'NoClusterFound',
  OM: 'OverloadManagerTerminated',
  DF: 'DnsResolutionFailed',
  DO: 'DropOverload',
  DR: 'DownstreamRemoteReset',
  UDO: 'UnconditionalDropOverload',
};

const order = Object.keys(longNames);

/** `flags` (`UF,URX`) with one more: each once, in Envoy's order. */
export function withFlag(flags: string, flag: string): string {
  if (flags === '') return flag;
  const list = flags.split(',');
  if (list.includes(flag)) return flags;
  list.push(flag);
  return list.sort((a, b) => order.indexOf(a) - order.indexOf(b)).join(',');
}

export const longFlags = (flags: string): string =>
  flags
    .split(',')
    .map((flag) => longNames[flag] ?? flag)
    .join(',');

export const isResponseFlag = (flag: string): boolean => Object.hasOwn(longNames, flag);
