/** What a proxy is asked to do in a case; from it come Envoy's bootstrap file and the configurations of the others. */
export interface Work {
  /** Distinguishes the files of this work. */
  readonly name: string;
  /** Where the proxy listens. */
  readonly port: number;
  /** `server`: TLS without a certificate of the client. */
  readonly downstreamTls: 'server' | 'mutual' | null;
  /** With our own certificate. */
  readonly upstreamTls: boolean;
  /** Another upstream than the scene's. */
  readonly upstreamPort: number | null;
  /** Towards the upstream; the downstream side takes both. */
  readonly http2: boolean;
  readonly tcp: boolean;
  /** File of the JSON access log. */
  readonly accessLog: string | null;
  /** Five rules, of which two deny and three allow. */
  readonly rbac: boolean;
  /** Tokens signed by this algorithm are asked for. */
  readonly jwt: 'RS256' | 'ES256' | null;
  /** Routes before the one that is asked for. */
  readonly routes: number;
}

export const plainWork: Omit<Work, 'name' | 'port'> = {
  downstreamTls: null,
  upstreamTls: false,
  upstreamPort: null,
  http2: false,
  tcp: false,
  accessLog: null,
  rbac: false,
  jwt: null,
  routes: 0,
};
