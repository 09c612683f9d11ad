/** `npm run differential`: Istio's resources, translated, through Envoy and through Lateen. See README.md. */
import { bookinfo } from './mesh/cases/bookinfo.ts';
import { envoyFilters } from './mesh/cases/envoy-filters.ts';
import { gatewayApi } from './mesh/cases/gateway-api.ts';
import { gateways } from './mesh/cases/gateways.ts';
import { locality } from './mesh/cases/locality.ts';
import { routing } from './mesh/cases/routing.ts';
import { scoping } from './mesh/cases/scoping.ts';
import { traffic } from './mesh/cases/traffic.ts';
import { runMesh } from './mesh/run.ts';

const only = process.argv.slice(2);
const cases = [
  ...routing,
  ...traffic,
  ...locality,
  ...gateways,
  ...gatewayApi,
  ...envoyFilters,
  ...scoping,
  ...bookinfo,
].filter(({ name }) => only.length === 0 || only.some((text) => name.includes(text)));
const outcomes = await runMesh(cases);
let failed = 0;
for (const { name, faults, requests } of outcomes) {
  if (faults.length === 0) continue;
  failed += Math.min(requests, faults.length);
  console.log(`  ✖ ${name}`);
  for (const fault of faults) console.log(`    ${fault}`);
}
const requests = outcomes.reduce((sum, one) => sum + one.requests, 0);
console.log(`  ${requests} requests in ${cases.length} sets of resources`);
console.log(`${requests - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
