/** Who a workload is: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
export interface Identity {
  trustDomain: string;
  namespace: string;
  serviceAccount: string;
}

const label = '[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?';
const uriPattern = new RegExp(`^spiffe://([a-zA-Z0-9][-a-zA-Z0-9._]{0,254})/ns/(${label})/sa/(${label})$`);
const userPattern = new RegExp(`^system:serviceaccount:(${label}):(${label})$`);

export const uriOf = ({ trustDomain, namespace, serviceAccount }: Identity): string =>
  `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;

/** Null for a URI of another form. */
export function identityOfUri(uri: string): Identity | null {
  const match = uriPattern.exec(uri);
  return match && { trustDomain: match[1], namespace: match[2], serviceAccount: match[3] };
}

/** From a Kubernetes user name, `system:serviceaccount:<namespace>:<name>`; null for any other user. */
export function identityOfUser(user: string, trustDomain: string): Identity | null {
  const match = userPattern.exec(user);
  return match && { trustDomain, namespace: match[1], serviceAccount: match[2] };
}
