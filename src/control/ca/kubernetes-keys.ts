/** Where the CA's key is kept in Kubernetes: plugged in (`cacerts`), or of its own making (`istio-ca-secret`), under Istio's names. */
import type { KubeClient } from '../../kube/client.ts';
import { isConflict } from '../../kube/error.ts';
import { type Secret, secrets } from '../../kube/object.ts';
import { type AuthorityMaterial, makeRoot } from './authority.ts';

const pluggedIn = 'cacerts';
const ownMaking = 'istio-ca-secret';

/**
 * The material that signs, made and kept on first use. Of two replicas that start at once one creates the Secret and the other reads it.
 * Throws when a Secret is there but incomplete: a mesh must not change roots by accident.
 */
export async function keptMaterial(
  client: KubeClient,
  namespace: string,
  trustDomain: string,
): Promise<AuthorityMaterial> {
  const plugged = await client.get(secrets, pluggedIn, namespace);
  if (plugged) return materialOf(plugged, namespace);
  const own = await client.get(secrets, ownMaking, namespace);
  if (own) return materialOf(own, namespace);
  const made = await makeRoot(trustDomain);
  try {
    const metadata = { name: ownMaking, namespace, labels: { 'app.kubernetes.io/managed-by': 'lateen' } };
    const data = { 'ca-cert.pem': base64(made.certificate), 'ca-key.pem': base64(made.key) };
    await client.create(secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'istio.io/ca-root',
      metadata,
      data,
    } as Secret);
    return made;
  } catch (error) {
    if (!isConflict(error)) throw error;
    const theirs = await client.get(secrets, ownMaking, namespace);
    if (!theirs) throw error;
    return materialOf(theirs, namespace);
  }
}

function materialOf(secret: Secret, namespace: string): AuthorityMaterial {
  const name = secret.metadata?.name;
  const text = (key: string) => Buffer.from(secret.data?.[key] ?? '', 'base64').toString();
  const required = (key: string) => {
    const value = text(key);
    if (!value)
      throw new Error(
        `Secret ${namespace}/${name}: key ${key} is missing; add it, or delete the Secret for a new root`,
      );
    return value;
  };
  const certificate = required('ca-cert.pem');
  const roots = name === pluggedIn ? required('root-cert.pem') : text('root-cert.pem') || certificate;
  return { certificate, key: required('ca-key.pem'), chain: text('cert-chain.pem'), roots };
}

const base64 = (text: string) => Buffer.from(text).toString('base64');
