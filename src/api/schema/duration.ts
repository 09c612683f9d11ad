import { parseDurationMs } from '../../lib/duration.ts';
import { show } from './problem.ts';
import { type CelRule, type Rule, type Schema, string } from './schema.ts';

const atLeastOneMs: CelRule<string> = {
  rule: "duration(self) >= duration('1ms')",
  message: 'must be a duration of at least 1ms, such as 5s',
  holds: (text) => (parseDurationMs(text) ?? 0) >= 1,
};

/** Istio keeps times to the millisecond and refuses finer ones. */
const wholeMs: Rule<string> = (text, report) => {
  const ms = parseDurationMs(text);
  if (ms !== null && ms >= 1 && !Number.isInteger(Number(ms.toFixed(6))))
    report.error([], `must be whole milliseconds, is ${show(text)}`, 'format');
};

/** A time of at least 1 ms in Go's notation, such as `1h`, `1m30s`, `1.5s` or `20ms`. */
export function duration(...rules: Rule<string>[]): Schema<string> {
  return string({ cel: [atLeastOneMs], rules: [wholeMs, ...rules] });
}

/** A time in Go's notation that may be `0s`; the API server takes any text for it. */
export function looseDuration(...rules: Rule<string>[]): Schema<string> {
  return string({
    rules: [
      (text, report) => {
        const ms = parseDurationMs(text);
        if (ms === null) report.error([], `must be a duration such as "5s" or "1m30s", is ${show(text)}`, 'format');
        else if (ms < 0) report.error([], `must not be negative, is ${show(text)}`, 'range');
      },
      ...rules,
    ],
  });
}
