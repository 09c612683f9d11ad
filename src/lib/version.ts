/** This build's version: the package's, the image's tag, and what proxies report as `ISTIO_VERSION`. */
export const version = '0.1.0';
