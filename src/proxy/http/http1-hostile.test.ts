/** The hostile corpus over real sockets: nothing of it becomes a second request, and each refusal is told of. */
import test from 'ava';
import { hostilePaths, hostileRequests } from '../testing/hostile-http1.ts';
import { ok } from '../testing/peers.ts';
import { get, originFor, TestProxy } from '../testing/proxy.ts';
import { clusterOf, endpointOf, forwardOf, routeOf } from '../testing/tables.ts';

// Titles lose their spaces.
for (const { name, bytes } of hostileRequests)
  test(name.replaceAll(' ', '\u00b7'), async (t) => {
    const seen: string[] = [];
    const origin = await originFor(t, ({ head }) => {
      seen.push(head.split('\r\n', 1)[0]);
      return ok('hello');
    });
    const proxy = await TestProxy.http(t, [routeOf('/', forwardOf('a'))], [clusterOf('a', [endpointOf(origin.port)])]);
    const caller = await proxy.caller(t);
    caller.socket.write(Buffer.from(bytes.replaceAll('HOST', 'shop'), 'latin1'));
    await proxy.witness.until(({ finished }) => finished.length > 0);
    const [{ status, flags, details }] = proxy.witness.finished;
    if (status >= 400) {
      t.deepEqual(seen, [], 'what is refused reaches no origin');
      t.true(flags !== '' || details !== '', `${status} tells why`);
      // Nothing behind it is read any more.
      await caller.finished();
      t.is(proxy.witness.finished.length, 1);
    } else t.regex(seen[0], /^(GET|POST) \/first HTTP\/1\.1$/);
    t.false(seen.some((line) => line.includes('/smuggled')));
  });

/** Paths that are still the door after all that servers do to paths. */
const opens = (path: string): boolean => {
  const [bare] = path.toLowerCase().split(/[?#]/);
  let decoded = bare;
  for (let i = 0; i < 3; i++)
    decoded = decoded.replace(/%(2f|5c|2e|61|69)/g, (text) => String.fromCharCode(Number.parseInt(text.slice(1), 16)));
  const parts: string[] = [];
  for (const part of decoded.replaceAll('\\', '/').split('/')) {
    const [segment] = part.split(';');
    if (segment === '..') parts.pop();
    else if (segment !== '' && segment !== '.') parts.push(segment);
  }
  return parts[0] === 'admin';
};

test('no spelling of a path brings past a rule what an application would take for it', async (t) => {
  const reached: string[] = [];
  const origin = await originFor(t, ({ head }) => {
    reached.push(head.split(' ')[1]);
    return ok('hello');
  });
  const deny = {
    name: 'rbac',
    disabled: false,
    statPrefix: 'http.test.rbac.',
    config: {
      kind: 'rbac' as const,
      rules: [
        {
          action: 'DENY' as const,
          prefix: '',
          shadow: null,
          policies: [
            {
              name: 'admin',
              permissions: [
                { kind: 'path' as const, match: { test: (path: string) => path.startsWith('/admin'), text: '' } },
              ],
              principals: [{ kind: 'any' as const }],
            },
          ],
        },
      ],
    },
  };
  const proxy = await TestProxy.http(t, [routeOf('/', forwardOf('a'))], [clusterOf('a', [endpointOf(origin.port)])], {
    filters: [deny],
    normalizePath: true,
    mergeSlashes: true,
    escapedSlashes: 'unescapeAndForward',
  });
  for (const path of hostilePaths) {
    const before = reached.length;
    const answer = await proxy.ask(t, get(path));
    // `%2561` is an escaped escape: decoding it twice is the application's own mistake.
    if (path !== '/%2561dmin' && path !== '/ADMIN' && opens(path)) {
      t.regex(answer, /^HTTP\/1\.1 4/, path);
      t.is(reached.length, before, path);
    }
  }
  for (const path of reached) t.false(path.startsWith('/admin'), path);
});
