/** How IstioInstallations are addressed. */
import type { IstioInstallation } from '../api/installation/istio-installation.ts';
import type { KubeClient } from '../kube/client.ts';
import { isNotFound } from '../kube/error.ts';
import { resource } from '../kube/object.ts';

export const installations = resource<IstioInstallation>(
  'lateen.dev/v1alpha1',
  'IstioInstallation',
  'istioinstallations',
  'cluster',
);

/** All of them; none where the kind is not even defined. */
export async function listInstallations(client: KubeClient): Promise<IstioInstallation[]> {
  try {
    return (await client.list(installations)).items;
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}
