/** Names by which the operator knows its own objects again. */

/** Field manager of everything that the operator applies. */
export const fieldManager = 'lateen-operator';
/** Label: the name of the IstioInstallation that an object was made for. */
export const ownerLabel = 'install.lateen.dev/owner';
/** Label: the part of the installation that an object belongs to, as in `status.components`. */
export const componentLabel = 'install.lateen.dev/component';
/** Label on what all installations share (definitions of kinds, namespaces); its value says that the operator made it. */
export const sharedLabel = 'install.lateen.dev/shared';
/** Annotation: digest of what was applied last, so that a field that is no longer rendered is noticed too. */
export const appliedAnnotation = 'install.lateen.dev/applied';
/** Finalizer on an IstioInstallation: its objects must go before it does. */
export const uninstallFinalizer = 'lateen.dev/uninstall';
