/** Every message that may stand in an `Any` of a bootstrap file or a dump. Import it lazily: it is wanted only when one is read or written. */
export { registry } from './gen/registry.js';
