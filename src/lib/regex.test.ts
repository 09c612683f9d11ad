import test from 'ava';
import fc from 'fast-check';
import { compileRegex, compileReplace } from './regex.ts';

test('common shapes match whole strings', (t) => {
  const cases: Array<[pattern: string, yes: string[], no: string[]]> = [
    ['abc', ['abc'], ['abcd', 'xabc']],
    ['a\\.b', ['a.b'], ['axb']],
    ['/api/.*', ['/api/', '/api/x'], ['/api', 'x/api/']],
    ['/api/.+', ['/api/x'], ['/api/']],
    ['.*\\.html', ['x.html', '.html'], ['xhtml', 'x.html2']],
    ['.*jason.*', ['jason', 'a jason b'], ['json']],
    ['(GET|POST)', ['GET', 'POST'], ['GETPOST', 'PUT']],
    ['GET|POST', ['GET'], ['GE']],
    ['^v1$', ['v1'], ['v11']],
    ['.+', ['x'], ['']],
    ['.*', ['', 'x'], []],
  ];
  for (const [pattern, yes, no] of cases) {
    const matches = compileRegex(pattern);
    for (const text of yes) t.true(matches(text), `${pattern} on ${text}`);
    for (const text of no) t.false(matches(text), `${pattern} on ${text}`);
  }
});

test('other patterns follow RE2, in linear time', (t) => {
  t.true(compileRegex('^(.*?;)?(user=jason)(;.*)?$')('a=b;user=jason;c=d'));
  t.false(compileRegex('^(.*?;)?(user=jason)(;.*)?$')('user=jasonx'));
  const started = performance.now();
  t.false(compileRegex('(a+)+b')('a'.repeat(5000)));
  t.true(performance.now() - started < 5000);
  t.throws(() => compileRegex('(unclosed'));
  t.throws(() => compileRegex('x'.repeat(5000)), { message: /4096/ });
});

test('a literal matches itself alone', (t) => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      const escaped = a.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
      return compileRegex(escaped)(a) && (a === b || !compileRegex(escaped)(b));
    }),
  );
  t.pass();
});

test('replacement knows groups and refuses those that are not there', (t) => {
  t.is(compileReplace('^/service/([^/]+)(/.*)$', '\\2/instance/\\1')('/service/foo/v1/api'), '/v1/api/instance/foo');
  t.is(compileReplace('one', 'two')('/xxx/one/yyy/one/zzz'), '/xxx/two/yyy/two/zzz');
  t.throws(() => compileReplace('a', '\\1'), { message: /group 1/ });
});
