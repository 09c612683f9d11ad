import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where builds, images and the state of clusters are kept between runs, outside of the tree. */
export const cacheFolder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'lateen');

export function clusterFolder(name: string): string {
  return join(cacheFolder, 'clusters', name);
}
