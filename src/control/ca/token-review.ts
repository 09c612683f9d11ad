/** Token review by the Kubernetes API server. */
import type { KubeClient } from '../../kube/client.ts';
import { GrpcError } from '../../xds/grpc/status.ts';
import type { TokenReviewer } from './caller.ts';
import { identityOfUser } from './identity.ts';

/** The audience of the tokens that Istio projects into pods. */
export const tokenAudience = 'istio-ca';

export function kubernetesTokenReviewer(client: KubeClient, trustDomain: string): TokenReviewer {
  return async (token) => {
    const review = await client.reviewToken(token, [tokenAudience], { timeoutMs: 5_000 }).catch((error: Error) => {
      throw new GrpcError('unavailable', `the token could not be reviewed: ${error.message}`);
    });
    if (!review.authenticated || !review.audiences.includes(tokenAudience))
      throw new GrpcError(
        'unauthenticated',
        `the token is not valid for audience ${tokenAudience}: ${review.error ?? ''}`,
      );
    const identity = identityOfUser(review.username ?? '', trustDomain);
    if (!identity) throw new GrpcError('permissionDenied', `${review.username} is not a service account`);
    return identity;
  };
}
