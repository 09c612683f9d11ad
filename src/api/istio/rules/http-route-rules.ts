/** One entry of a VirtualService's `http`. */
import { formatDurationMs, parseDurationMs } from '../../../lib/duration.ts';
import { below, each, eachEntry, type Report, show } from '../../schema/problem.ts';
import type {
  CorsPolicy,
  HttpFaultInjection,
  HttpMatchRequest,
  HttpRedirect,
  HttpRetry,
  HttpRewrite,
  HttpRoute,
} from '../virtual-service.ts';
import { checkDestination, checkWeights } from './destination.ts';
import { checkGatewayNames } from './gateway-names.ts';
import { checkCorsHeaders, checkHeaderChanges, checkMatchedHeader, isAuthority } from './header-rules.ts';
import { isDnsLabel } from './host-name.ts';
import { checkLabels } from './label-rules.ts';
import { checkRegex, checkStringMatch } from './string-match.ts';

export function checkHttpRoute(route: HttpRoute, report: Report): void {
  checkActions(report, route);
  each(report, 'match', route.match, checkMatch);
  checkHeaderChanges(report, route.headers);
  checkCors(below(report, 'corsPolicy'), route.corsPolicy);
  checkFault(below(report, 'fault'), route.fault);
  checkMirrors(report, route);
  checkRedirect(below(report, 'redirect'), route.redirect, route.match);
  checkDirectResponse(below(report, 'directResponse'), route.directResponse);
  checkRetries(below(report, 'retries'), route.retries);
  checkRewrite(below(report, 'rewrite'), route.rewrite);
  checkSingleAuthority(report, route);
  each(report, 'route', route.route, (destination, at) => {
    checkDestination(below(at, 'destination'), destination.destination);
    checkHeaderChanges(at, destination.headers);
  });
  checkWeights(report, route.route);
}

/** What becomes of a request is said by exactly one field. */
function checkActions(report: Report, route: HttpRoute): void {
  const isSet = (field: keyof HttpRoute) => route[field] !== undefined;
  const refuse = (field: keyof HttpRoute, other: keyof HttpRoute) => {
    if (isSet(field)) report.error([field], `cannot be set together with ${other}`, 'conflict');
  };
  if (route.delegate) {
    for (const field of ['redirect', 'route'] as const) refuse(field, 'delegate');
    return;
  }
  const action = route.redirect ? 'redirect' : route.directResponse ? 'directResponse' : null;
  if (action) {
    if (route.route?.length) refuse('route', action);
    for (const field of ['fault', 'rewrite'] as const) refuse(field, action);
    if (action === 'redirect') refuse('directResponse', action);
  } else if (!route.route?.length)
    report.error([], 'needs one of route, redirect, directResponse and delegate', 'required');
  if (route.mirrors?.length) refuse('mirror', 'mirrors');
}

function checkMatch(match: HttpMatchRequest, report: Report): void {
  eachEntry(report, 'headers', match.headers, (header, value, at) => {
    checkMatchedHeader(at, header);
    checkStringMatch(at, value);
  });
  eachEntry(report, 'withoutHeaders', match.withoutHeaders, (header, value, at) => {
    checkMatchedHeader(at, header);
    // Istio reads the pattern "*" as "the header is there".
    if (value.regex !== '*') checkStringMatch(at, value);
  });
  eachEntry(report, 'queryParams', match.queryParams, (_, value, at) => checkStringMatch(at, value));
  checkStringMatch(below(report, 'uri'), match.uri, true);
  for (const field of ['scheme', 'method', 'authority'] as const) checkStringMatch(below(report, field), match[field]);
  checkLabels(report, 'sourceLabels', match.sourceLabels);
  checkGatewayNames(report, match.gateways);
  if (match.sourceNamespace && !isDnsLabel(match.sourceNamespace))
    report.error(['sourceNamespace'], `must be a namespace, is ${show(match.sourceNamespace)}`, 'format');
}

const corsMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', '*'];

function checkCors(report: Report, cors: CorsPolicy | undefined): void {
  if (!cors) return;
  if (cors.allowOrigin) report.warning(['allowOrigin'], 'is deprecated; use allowOrigins', 'deprecated');
  each(report, 'allowOrigins', cors.allowOrigins, (origin, at) => {
    if (!(origin.exact || origin.prefix || origin.regex)) at.error([], 'needs exact, prefix or regex', 'required');
    checkRegex(at, 'regex', origin.regex || undefined);
  });
  each(report, 'allowMethods', cors.allowMethods, (method, at) => {
    if (!corsMethods.includes(method))
      at.error([], `must be one of ${corsMethods.join(', ')}, is ${show(method)}`, 'enum');
  });
  checkCorsHeaders(report, 'allowHeaders', cors.allowHeaders);
  checkCorsHeaders(report, 'exposeHeaders', cors.exposeHeaders);
  const maxAgeMs = parseDurationMs(cors.maxAge ?? '0s') ?? 0;
  if (maxAgeMs % 1000 !== 0)
    report.error(['maxAge'], `must be whole seconds, is ${formatDurationMs(maxAgeMs)}`, 'format');
}

/** Names of the status codes of gRPC. */
const grpcStatuses = new Set(
  (
    'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED ' +
    'RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED'
  ).split(' '),
);

function checkStatus(report: Report, field: string, status: number): void {
  if (status < 200 || status > 599) report.error([field], `must be 200–599, is ${status}`, 'range');
}

function checkFault(report: Report, fault: HttpFaultInjection | undefined): void {
  if (!fault) return;
  const { abort, delay } = fault;
  if (!abort && !delay) report.error([], 'needs an abort, a delay or both', 'required');
  // Envoy counts in millionths.
  for (const [field, share] of [
    ['abort', abort?.percentage?.value],
    ['delay', delay?.percentage?.value],
  ] as const)
    if (share !== undefined && share > 0 && share < 0.0001)
      report.error([field, 'percentage', 'value'], `must be 0 or 0.0001–100, is ${share}`, 'range');
  if (abort) {
    if (abort.http2Error !== undefined)
      report.error(['abort', 'http2Error'], 'is not supported; use httpStatus or grpcStatus');
    else if (abort.grpcStatus !== undefined) {
      if (!grpcStatuses.has(abort.grpcStatus))
        report.error(
          ['abort', 'grpcStatus'],
          `must be the name of a gRPC status such as UNAVAILABLE, is ${show(abort.grpcStatus)}`,
          'enum',
        );
    } else if (abort.httpStatus !== undefined) checkStatus(below(report, 'abort'), 'httpStatus', abort.httpStatus);
    else report.warning(['abort'], 'aborts nothing without httpStatus or grpcStatus');
  }
  if (delay) {
    if (delay.exponentialDelay !== undefined)
      report.error(['delay', 'exponentialDelay'], 'is not supported; use fixedDelay');
    if (delay.percent !== undefined) {
      report.warning(['delay', 'percent'], 'is deprecated; use percentage', 'deprecated');
      if (delay.percent < 0 || delay.percent > 100)
        report.error(['delay', 'percent'], `must be 0–100, is ${delay.percent}`, 'range');
    }
    if (delay.fixedDelay === undefined && delay.exponentialDelay === undefined)
      report.warning(['delay'], 'delays nothing without fixedDelay');
  }
}

function checkMirrors(report: Report, route: HttpRoute): void {
  checkDestination(below(report, 'mirror'), route.mirror);
  each(report, 'mirrors', route.mirrors, (mirror, at) =>
    checkDestination(below(at, 'destination'), mirror.destination),
  );
  for (const field of ['mirrorPercent', 'mirror_percent'] as const) {
    const value = route[field];
    if (value === undefined || value === null) continue;
    if (value > 100) report.error([field], `must be 0–100, is ${value}`, 'range');
    report.warning([field], 'is deprecated; use mirrorPercentage', 'deprecated');
  }
}

function checkRedirect(report: Report, redirect: HttpRedirect | undefined, matches: HttpRoute['match']): void {
  if (!redirect) return;
  const { uri, prefixRewrite, authority, scheme, redirectCode } = redirect;
  if (uri && prefixRewrite) report.error(['prefixRewrite'], 'cannot be set together with uri', 'conflict');
  if (prefixRewrite && matches?.some((match) => match.uri && match.uri.prefix === undefined))
    report.error(['prefixRewrite'], 'needs every match of the route that has a uri to match it by prefix', 'conflict');
  if (
    !(uri || prefixRewrite || authority || scheme || redirect.port !== undefined || redirect.derivePort !== undefined)
  )
    report.error([], 'needs one of uri, prefixRewrite, authority, scheme, port and derivePort', 'required');
  if (redirectCode && (redirectCode < 300 || redirectCode > 399))
    report.error(['redirectCode'], `must be 300–399, is ${redirectCode}`, 'range');
  if (scheme && scheme !== 'http' && scheme !== 'https')
    report.error(['scheme'], `must be http or https, is ${show(scheme)}`, 'enum');
}

const largeBodyBytes = 100 << 10;
const maxBodyBytes = 1 << 20;

function checkDirectResponse(report: Report, response: HttpRoute['directResponse']): void {
  if (!response) return;
  checkStatus(report, 'status', response.status);
  const { string, bytes } = response.body ?? {};
  const size = string !== undefined ? Buffer.byteLength(string) : Buffer.byteLength(bytes ?? '', 'base64');
  if (size > maxBodyBytes) report.error(['body'], `must have at most 1 MiB, has ${size} bytes`, 'range');
  else if (size > largeBodyBytes)
    report.warning(['body'], `of ${size} bytes is sent to every proxy that has the route`);
}

const retryConditions = new Set(
  (
    '5xx gateway-error reset reset-before-request connect-failure envoy-ratelimited retriable-4xx refused-stream ' +
    'retriable-status-codes retriable-headers http3-post-connect-failure ' +
    'cancelled deadline-exceeded internal resource-exhausted unavailable'
  ).split(' '),
);

/** Conditions are Envoy's (`x-envoy-retry-on`, `x-envoy-retry-grpc-on`) and HTTP status codes. */
export function checkRetries(report: Report, retries: HttpRetry | undefined): void {
  if (!retries) return;
  const { attempts = 0, retryOn } = retries;
  if (attempts < 0) report.error(['attempts'], `must not be negative, is ${attempts}`, 'range');
  if (attempts === 0)
    for (const field of ['perTryTimeout', 'retryOn', 'retryRemoteLocalities'] as const)
      if (retries[field]) report.error([field], 'has no meaning with 0 attempts', 'conflict');
  for (const condition of retryOn ? retryOn.split(',') : []) {
    const isStatus = /^[1-5]\d\d$/.test(condition);
    if (!isStatus && !retryConditions.has(condition))
      report.error(['retryOn'], `${show(condition)} is not a retry condition`, 'enum');
  }
}

function checkRewrite(report: Report, rewrite: HttpRewrite | undefined): void {
  if (!rewrite) return;
  const { uri, uriRegexRewrite, authority } = rewrite;
  if (uri && uriRegexRewrite) report.error(['uriRegexRewrite'], 'cannot be set together with uri', 'conflict');
  if (!uri && !uriRegexRewrite && !authority)
    report.error([], 'needs one of uri, uriRegexRewrite and authority', 'required');
  if (!uriRegexRewrite) return;
  for (const field of ['match', 'rewrite'] as const)
    if (!uriRegexRewrite[field]) report.error(['uriRegexRewrite', field], 'is required', 'required');
  checkRegex(below(report, 'uriRegexRewrite'), 'match', uriRegexRewrite.match || undefined);
}

/** The authority is set in one place: by `rewrite` or by one header operation. */
function checkSingleAuthority(report: Report, { rewrite, headers }: HttpRoute): void {
  let isSet = Boolean(rewrite?.authority);
  for (const field of ['set', 'add'] as const)
    for (const header of Object.keys(headers?.request?.[field] ?? {})) {
      if (!isAuthority(header)) continue;
      if (isSet) report.error(['headers', 'request', field, header], 'sets the authority a second time', 'conflict');
      isSet = true;
    }
}
