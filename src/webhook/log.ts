/** What the webhooks write to; pino's logger is one. */
export interface WebhookLog {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}
