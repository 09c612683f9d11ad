/** What one access log line is made of: compiled once when the configuration is pushed, called once a request. */
import type { Exchange, TcpSession } from '../http/exchange.ts';

export type LogSubject = Exchange | TcpSession;

/** The whole line with its line end; '' logs nothing. */
export type AccessLogFormat = (subject: LogSubject) => string;

export type AccessLogFilter = (subject: LogSubject) => boolean;

export const isExchange = (subject: LogSubject): subject is Exchange => 'manager' in subject;

/** When a line is written (Envoy: AccessLogType). */
export type AccessLogType =
  | 'NotSet'
  | 'TcpUpstreamConnected'
  | 'TcpPeriodic'
  | 'TcpConnectionStart'
  | 'TcpConnectionEnd'
  | 'DownstreamStart'
  | 'DownstreamPeriodic'
  | 'DownstreamTunnelSuccessfullyEstablished'
  | 'DownstreamEnd';

/** The occasion of the line that is being made on this thread; filters and formats read it. */
export const emitting: { type: AccessLogType } = { type: 'NotSet' };
