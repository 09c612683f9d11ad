/** `npm run differential`: what Envoy and Lateen make of the same requests over HTTP. See README.md. */
import { balancing } from './http/cases/balancing.ts';
import { extAuthz } from './http/cases/ext-authz.ts';
import { filters } from './http/cases/filters.ts';
import { headers } from './http/cases/headers.ts';
import { hostile } from './http/cases/hostile.ts';
import { http2 } from './http/cases/http2.ts';
import { jwts } from './http/cases/jwt.ts';
import { localReplyCases } from './http/cases/local-replies.ts';
import { rateLimits } from './http/cases/rate-limits.ts';
import { routing } from './http/cases/routing.ts';
import { slowCallers } from './http/cases/slow.ts';
import { traffic } from './http/cases/traffic.ts';
import { tries } from './http/cases/tries.ts';
import { tunnels } from './http/cases/tunnels.ts';
import { upstreams } from './http/cases/upstreams.ts';
import { compareHttp } from './http/run.ts';

const only = process.argv.slice(2);
const cases = [
  ...routing,
  ...headers,
  ...traffic,
  ...http2,
  ...filters,
  ...jwts,
  ...rateLimits,
  ...extAuthz,
  ...upstreams,
  ...balancing,
  ...hostile,
  ...localReplyCases,
  ...slowCallers,
  ...tries,
  ...tunnels,
].filter(({ name }) => only.length === 0 || only.some((text) => name.includes(text)));
const outcomes = await compareHttp(cases);
const failed = outcomes.filter(({ differences }) => differences.length > 0);
for (const { name, differences } of failed) {
  console.log(`  ✖ ${name}`);
  for (const difference of differences) console.log(`    ${difference}`);
}
const requests = cases.reduce((sum, one) => sum + one.requests.length, 0);
console.log(`  ${requests} requests in ${cases.length} cases`);
console.log(`${outcomes.length - failed.length} passed, ${failed.length} failed`);
process.exitCode = failed.length > 0 ? 1 : 0;
