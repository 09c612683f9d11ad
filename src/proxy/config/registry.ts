/** Every message that may stand in an `Any` of a bootstrap file or a dump. Loaded when one is read or written, not before. */
export { registry } from '../../xds/registry.ts';
