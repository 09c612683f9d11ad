import test from 'ava';
import { re2Problem } from './re2.ts';

test('takes what RE2 takes', (t) => {
  for (const pattern of ['', '.*', '^/api/v[0-9]+$', '(?i)chrome', '(?P<name>a|b)', '\\d{3}'])
    t.is(re2Problem(pattern), null, pattern);
});

test('refuses what RE2 refuses, and says why', (t) => {
  for (const pattern of ['(', '*a', '[z-a]', '(?=ahead)', 'a**', '\\1'])
    t.regex(re2Problem(pattern) ?? '', /^is no RE2 regular expression: ./, pattern);
});

test('refuses patterns that Envoy finds too long', (t) => {
  t.is(re2Problem('a'.repeat(1024)), null);
  t.is(re2Problem('a'.repeat(1025)), 'must have at most 1024 characters, has 1025');
});
