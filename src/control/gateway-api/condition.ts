/** A condition before it is written: without its times. */
export interface Fact {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

export const holds = (type: string, reason: string = type, message = ''): Fact => ({
  type,
  status: 'True',
  reason,
  message,
});

export const fails = (type: string, reason: string, message: string): Fact => ({
  type,
  status: 'False',
  reason,
  message,
});
