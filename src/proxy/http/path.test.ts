import test from 'ava';
import fc from 'fast-check';
import { normalizePath, type PathRules } from './path.ts';

const off: PathRules = { normalizePath: false, mergeSlashes: false, escapedSlashes: 'keep' };
const base: PathRules = { ...off, normalizePath: true };
const all: PathRules = { normalizePath: true, mergeSlashes: true, escapedSlashes: 'unescapeAndForward' };

const cases: Array<[rules: PathRules, path: string, becomes: string | null]> = [
  [off, '/a/../b//c', '/a/../b//c'],
  [base, '/a/./b/../c', '/a/c'],
  [base, '/../../a', '/a'],
  [base, '/a/..', '/'],
  [base, '/a/b/.', '/a/b/'],
  [base, '/%61dmin%2E%2e/x', '/admin../x'],
  [base, '/a/%2e%2e/b', '/b'],
  [base, '/a\\..\\b', '/b'],
  [base, '/a//b', '/a//b'],
  [base, '/a%2Fb', '/a%2Fb'],
  [base, '/a?x=/../y//z', '/a?x=/../y//z'],
  [base, '/a/../b?x=/../y', '/b?x=/../y'],
  [base, '/%2%65%2%65/x', '/x'],
  [base, '/a%00b', null],
  [all, '//a///b', '/a/b'],
  [all, '/a%2f..%5Cb', '/b'],
  [{ ...base, escapedSlashes: 'reject' }, '/a%2Fb', null],
  [base, '*', '*'],
  [base, 'a/../b%41', null],
];
for (const [rules, path, becomes] of cases)
  test(`${path} becomes ${becomes} (${JSON.stringify(rules)})`, (t) => {
    t.is(normalizePath(path, rules)?.path ?? null, becomes);
  });

test('escaped slashes can be answered with a redirect', (t) => {
  t.deepEqual(normalizePath('/a%2Fb?c', { ...base, escapedSlashes: 'unescapeAndRedirect' }), {
    path: '/a/b?c',
    redirect: true,
  });
});

test('what was normalised once does not change again, and has no way up', (t) => {
  const piece = fc.constantFrom(
    '/',
    '//',
    '.',
    '..',
    '%2e',
    '%2',
    '%',
    '%5c',
    '%2f',
    '\\',
    'a',
    '%61',
    '%65',
    '?',
    '#',
    '2',
    'e',
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 14 }),
      fc.constantFrom(base, all, { ...base, mergeSlashes: true }),
      (pieces, rules) => {
        const once = normalizePath(`/${pieces.join('')}`, rules);
        if (once === null) return true;
        const bare = once.path.replace(/[?#].*$/s, '');
        return normalizePath(once.path, rules)?.path === once.path && !/(^|\/)\.\.?(\/|$)/.test(bare);
      },
    ),
    { numRuns: 2000 },
  );
  t.pass();
});
