/** What one access log line is made of: compiled once when the configuration is pushed, called once a request. */
import type { Exchange, TcpSession } from '../http/exchange.ts';

export type LogSubject = Exchange | TcpSession;

/** The whole line with its line end; '' logs nothing. */
export type AccessLogFormat = (subject: LogSubject) => string;

export type AccessLogFilter = (subject: LogSubject) => boolean;

export const isExchange = (subject: LogSubject): subject is Exchange => 'manager' in subject;
