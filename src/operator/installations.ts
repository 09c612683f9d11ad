/** How IstioInstallations are addressed. */
import type { IstioInstallation } from '../api/installation/istio-installation.ts';
import { resource } from '../kube/object.ts';

export const installations = resource<IstioInstallation>(
  'lateen.dev/v1alpha1',
  'IstioInstallation',
  'istioinstallations',
  'cluster',
);
