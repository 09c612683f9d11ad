import { localProvider } from '../local/provider.ts';
import type { Provider } from './cluster.ts';
import { kindProvider } from './kind.ts';
import { kubeconfigProvider } from './kubeconfig.ts';

/** In the order in which they are tried. */
export const providers: Provider[] = [kubeconfigProvider, kindProvider, localProvider];

export function providerNamed(name: string): Provider {
  const found = providers.find((provider) => provider.name === name);
  if (!found)
    throw new Error(
      `provider "${name}" is unknown; there are ${providers.map((provider) => provider.name).join(', ')}`,
    );
  return found;
}

export type Choice = { provider: Provider; why: string } | { provider: null; why: string };

/**
 * The first provider that this machine offers, or the one that is forced.
 * @param forced `LATEEN_E2E_PROVIDER`, or undefined.
 */
export async function chooseProvider(forced: string | undefined): Promise<Choice> {
  const reasons: string[] = [];
  for (const provider of forced ? [providerNamed(forced)] : providers) {
    const { ok, why } = await provider.available();
    if (ok) return { provider, why };
    reasons.push(`${provider.name}: ${why}`);
  }
  return { provider: null, why: reasons.join(' | ') };
}
