/** A prefix counts whole segments: `/foo/` means what `/foo` does. https://gateway-api.sigs.k8s.io/reference/spec/#pathmatchtype */
export const trimmed = (prefix: string): string => prefix.replace(/\/+$/, '') || '/';

/** As a part of a regular expression. */
export const quoted = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
