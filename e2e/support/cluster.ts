import { attachByHandle } from '../cluster/handle.ts';

/** The cluster that this run of the tests has. */
export const cluster = await attachByHandle(process.env);
