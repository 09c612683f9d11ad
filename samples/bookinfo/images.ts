/** One image of the Bookinfo sample. */
export interface SampleImage {
  /** Last part of the image's name, as Istio's manifest has it. */
  name: string;
  /** The service's source beside this file, without `.ts`. */
  service: 'productpage' | 'details' | 'reviews' | 'ratings';
  /** What makes the versions of a service differ. */
  env: Record<string, string>;
}

/** What Istio's Bookinfo manifests ask for. */
export const sampleTag = '1.20.3';
export const sampleHubs = ['registry.istio.io/release', 'docker.io/istio'];

function reviews(version: string, stars: string | null): SampleImage {
  const env = { SERVICE_VERSION: version, ENABLE_RATINGS: String(stars !== null), STAR_COLOR: stars ?? 'black' };
  return { name: `examples-bookinfo-reviews-${version}`, service: 'reviews', env };
}

export const sampleImages: SampleImage[] = [
  { name: 'examples-bookinfo-productpage-v1', service: 'productpage', env: {} },
  { name: 'examples-bookinfo-details-v1', service: 'details', env: { SERVICE_VERSION: 'v1' } },
  { name: 'examples-bookinfo-ratings-v1', service: 'ratings', env: { SERVICE_VERSION: 'v1' } },
  reviews('v1', null),
  reviews('v2', 'black'),
  reviews('v3', 'red'),
];
