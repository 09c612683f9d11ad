/**
 * Everything that can be said of a set of resources: the one engine behind `lateen analyze`, `lateen validate`, admission warnings and the
 * status of resources. Pure: what is not among the objects does not exist, unless the view says that it does not see everything.
 */
import { analyzeAnnotations } from './annotations.ts';
import { analyzeDestinationRules } from './destination-rules.ts';
import { analyzeDestinations, analyzeGatewayReferences } from './destinations.ts';
import { analyzeExtensions } from './extensions.ts';
import { type Analyzed, type Code, type Finding, nameOf, type Tell } from './finding.ts';
import { analyzeGateways } from './gateways.ts';
import { analyzeInjection } from './injection.ts';
import { analyzeNoEffect } from './no-effect.ts';
import { analyzeSchemas } from './schema.ts';
import { analyzeServices } from './services.ts';
import { View, type ViewOptions } from './view.ts';
import { analyzeVirtualServices } from './virtual-services.ts';
import { analyzeOnlyOnes, analyzeSelectors } from './workloads.ts';

type Analyzer = (view: View, tell: Tell) => void;

/** By the name under which `lateen analyze --list-analyzers` shows it. */
export const analyzers: Readonly<Record<string, { readonly about: string; readonly run: Analyzer }>> = {
  'schema.ValidationAnalyzer': { about: 'Checks each resource by its schema and rules', run: analyzeSchemas },
  'virtualservice.DestinationHostAnalyzer': {
    about: 'Checks the hosts, subsets and ports that VirtualServices lead to',
    run: analyzeDestinations,
  },
  'virtualservice.GatewayAnalyzer': {
    about: 'Checks the gateways that VirtualServices name',
    run: analyzeGatewayReferences,
  },
  'virtualservice.ConflictingMeshGatewayHostsAnalyzer': {
    about: 'Checks VirtualServices beside each other and beside Gateways',
    run: analyzeVirtualServices,
  },
  'destinationrule.DestinationRuleAnalyzer': {
    about: 'Checks that DestinationRules are used, and verify whom they call',
    run: analyzeDestinationRules,
  },
  'gateway.ConflictingGatewayAnalyzer': {
    about: 'Checks the ports, workloads and certificates of Gateways',
    run: analyzeGateways,
  },
  'service.PortNameAnalyzer': {
    about: 'Checks the names of ports, and workloads with several services',
    run: analyzeServices,
  },
  'sidecar.SelectorAnalyzer': {
    about: 'Checks Sidecars and Telemetries of which one alone can apply',
    run: analyzeOnlyOnes,
  },
  'workload.SelectorAnalyzer': { about: 'Checks that selectors select something', run: analyzeSelectors },
  'injection.Analyzer': { about: 'Checks which namespaces and pods take part in the mesh', run: analyzeInjection },
  'envoyfilter.EnvoyPatchAnalyzer': { about: 'Checks EnvoyFilters and WasmPlugins', run: analyzeExtensions },
  'lateen.NoEffectAnalyzer': { about: 'Tells of fields that nothing goes by', run: analyzeNoEffect },
  'annotations.K8sAnalyzer': { about: "Checks Istio's annotations", run: analyzeAnnotations },
};

export interface AnalysisOptions extends Partial<ViewOptions> {
  /** Names of analyzers that are not run. */
  readonly without?: readonly string[];
  /** Codes that are not told, each of one resource (`IST0103=Pod ns/name`, with `*` for any part) or of all. */
  readonly suppressed?: ReadonlyArray<{ readonly code: string; readonly resource: string }>;
}

/** On a resource: the codes that are not to be told of it, or `*`. */
const suppressing = 'galley.istio.io/analyze-suppress';

/** In the order of level is left to the caller; findings of one resource stay together. */
export function analyze(objects: Iterable<Analyzed>, options: AnalysisOptions = {}): Finding[] {
  const view = new View(objects, {
    domain: options.domain ?? 'cluster.local',
    rootNamespace: options.rootNamespace ?? 'istio-system',
    isWhole: options.isWhole ?? true,
    capturesDns: options.capturesDns ?? false,
    seesSecrets: options.seesSecrets ?? true,
  });
  const found = new Map<string, Finding>();
  const tell: Tell = (code, resource, path, message) => {
    if (isSuppressed(resource, code, options.suppressed ?? [])) return;
    found.set(JSON.stringify([code, resource.kind, nameOf(resource), path, message]), {
      code,
      resource,
      path,
      message,
    });
  };
  for (const [name, { run }] of Object.entries(analyzers)) if (!options.without?.includes(name)) run(view, tell);
  return [...found.values()];
}

function isSuppressed(
  resource: Analyzed,
  code: Code,
  suppressed: ReadonlyArray<{ readonly code: string; readonly resource: string }>,
): boolean {
  const own = resource.metadata.annotations?.[suppressing]?.split(',').map((part) => part.trim());
  if (own?.some((each) => each === '*' || each === code)) return true;
  const called = `${resource.kind} ${nameOf(resource)}`;
  return suppressed.some((each) => each.code === code && matchesPattern(each.resource, called));
}

function matchesPattern(pattern: string, text: string): boolean {
  const parts = pattern.split('*');
  if (parts.length === 1) return pattern === text;
  let at = 0;
  for (const [i, part] of parts.entries()) {
    const found =
      i === 0
        ? text.startsWith(part)
          ? 0
          : -1
        : i === parts.length - 1
          ? text.length - part.length
          : text.indexOf(part, at);
    if (found < at || !text.startsWith(part, found)) return false;
    at = found + part.length;
  }
  return true;
}
