import type { HttpManager } from '../config/table.ts';

type Rules = Pick<HttpManager, 'stripPort' | 'stripTrailingDot'>;

/** The authority without what is to be taken off it for all that follows (Envoy: strip_any_host_port, strip_trailing_host_dot). */
export function strippedAuthority(
  authority: string,
  { stripPort, stripTrailingDot }: Rules,
  localPort: number,
): string {
  if (stripPort === 'none' && !stripTrailingDot) return authority;
  const found = /^(.*?)(\.?)(?::(\d+))?$/.exec(authority);
  if (found === null) return authority;
  const [, name, dot, port] = found;
  const strips = stripPort === 'any' || (stripPort === 'matching' && Number(port) === localPort);
  return `${name}${stripTrailingDot ? '' : dot}${port === undefined || strips ? '' : `:${port}`}`;
}
