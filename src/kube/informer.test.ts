import test, { type ExecutionContext } from 'ava';
import { Informer, type InformerOptions } from './informer.ts';
import { type ConfigMap, configMaps } from './object.ts';
import { ApiServer, isList, isWatch, sendJson } from './testing/api-server.ts';

/** Collects what the handlers are told and lets a test wait for a line of it. */
function recorder(informer: Informer<ConfigMap, string>) {
  const told: string[] = [];
  const waiting: Array<{ line: string; resolve: () => void }> = [];
  const tell = (line: string) => {
    told.push(line);
    for (const each of waiting) if (each.line === line) each.resolve();
  };
  informer.on({
    add: (value, key) => tell(`+${key}=${value}`),
    update: (value, previous, key) => tell(`~${key}=${previous}>${value}`),
    delete: (value, key) => tell(`-${key}=${value}`),
  });
  const seen = (line: string) =>
    new Promise<void>((resolve) => {
      if (told.includes(line)) resolve();
      else waiting.push({ line, resolve });
    });
  return { told, seen };
}

async function begin(
  t: ExecutionContext,
  options: InformerOptions<ConfigMap, string> = {},
  prepare?: (api: ApiServer) => void,
) {
  const api = await ApiServer.start();
  prepare?.(api);
  const errors: Error[] = [];
  const informer = new Informer<ConfigMap, string>(api.client(), configMaps, {
    project: (object) => object.data?.value ?? '',
    firstBackoffMs: 1,
    maxBackoffMs: 5,
    absentRetryMs: 1,
    onError: (error) => errors.push(error),
    ...options,
  });
  t.teardown(async () => {
    await informer.stop();
    await api.stop();
  });
  return { api, informer, errors, ...recorder(informer.start()) };
}

test('lists page by page, then tells each change', async (t) => {
  const { api, informer, told, seen } = await begin(t, { pageSize: 2 }, (api) => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) api.put(name, '1');
  });
  await informer.synced;
  t.is(informer.size, 5);
  t.is(api.requests.filter((each) => each.includes('limit=2')).length, 3);
  api.put('a', '2');
  api.remove('b');
  api.put('f', '1');
  await seen('+default/f=1');
  t.deepEqual(told.slice(5), ['~default/a=1>2', '-default/b=1', '+default/f=1']);
  t.is(informer.get('default/a'), '2');
  t.is(informer.get('default/b'), undefined);
});

test('a dropped watch resumes at the last version, without a list', async (t) => {
  const { api, informer, told, seen } = await begin(t, {}, (api) => api.put('a', '1'));
  await informer.synced;
  await api.until(() => api.watchCount === 1);
  api.put('a', '2');
  await seen('~default/a=1>2');
  for (let round = 0; round < 3; round++) {
    api.dropWatches();
    api.put('a', `missed ${round}`);
    await api.until(() => api.watchCount === 1);
    await seen(`~default/a=${round === 0 ? 2 : `missed ${round - 1}`}>missed ${round}`);
  }
  t.is(api.requests.filter((each) => !each.includes('watch=1')).length, 1);
  t.is(told.length, 5);
});

test('410 Gone lists again and tells the deletions that were missed', async (t) => {
  const { api, informer, seen, told } = await begin(t, {}, (api) => {
    api.put('keeps', '1');
    api.put('goes', '1');
    api.put('changes', '1');
  });
  await informer.synced;
  await api.until(() => api.watchCount === 1);
  // The API is away while things change and its history is compacted.
  api.next(isWatch, (_request, response) => {
    api.remove('goes');
    api.put('changes', '2');
    api.put('comes', '1');
    api.compactedTo = api.version;
    response.socket?.destroy();
  });
  api.dropWatches();
  await seen('-default/goes=1');
  t.deepEqual(told.slice(3).sort(), ['+default/comes=1', '-default/goes=1', '~default/changes=1>2']);
  await api.until(() => api.watchCount === 1);
  api.put('keeps', '2');
  await seen('~default/keeps=1>2');
});

test('410 as the status of the watch request, and a continue token that expired within the pages', async (t) => {
  const { api, informer, seen } = await begin(t, { pageSize: 1 }, (api) => {
    api.put('a', '1');
    api.put('b', '1');
    const gone = { kind: 'Status', code: 410, reason: 'Expired', message: 'the continue token is too old' };
    api.next(
      (request) => request.url?.includes('continue=') ?? false,
      (_request, response) => sendJson(response, 410, gone),
    );
    api.next(isWatch, (_request, response) => sendJson(response, 410, gone));
  });
  await informer.synced;
  await api.until(() => api.watchCount === 1);
  api.put('a', '2');
  await seen('~default/a=1>2');
  t.is(informer.size, 2);
});

test('429 is answered by waiting as long as the server asks', async (t) => {
  const { api, informer, errors, seen } = await begin(t, { maxBackoffMs: 50 }, (api) => {
    const busy = { kind: 'Status', reason: 'TooManyRequests', message: 'too busy' };
    api.next(isWatch, (_request, response) => sendJson(response, 429, busy, { 'retry-after': '1' }));
  });
  await informer.synced;
  const startedAtMs = performance.now();
  await api.until(() => api.watchCount === 1);
  t.true(performance.now() - startedAtMs >= 45, 'the wait is the server’s second, capped by maxBackoffMs');
  t.regex(errors[0].message, /429 TooManyRequests/);
  t.is(api.requests.filter(isAList).length, 1);
  api.put('a', '1');
  await seen('+default/a=1');
  t.is(informer.lastError, null);
});

const isAList = (line: string) => !line.includes('watch=1');

test('a silent connection is given up and the watch resumed', async (t) => {
  const { api, seen } = await begin(t, { stallMs: 60 }, (api) => {
    // Headers come, then nothing: not even a reset, as when a NAT forgets the connection.
    api.next(isWatch, (_request, response) => {
      response.writeHead(200);
      response.flushHeaders();
      api.put('a', 'told by the second watch');
    });
  });
  await seen('+default/a=told by the second watch');
  t.is(api.requests.filter(isAList).length, 1);
});

test('bookmarks move the version on', async (t) => {
  const { api, informer } = await begin(t);
  await informer.synced;
  await api.until(() => api.watchCount === 1);
  api.bookmark();
  api.put('a', '1');
  api.bookmark();
  const version = api.version;
  await new Promise<void>((resolve) => {
    const stop = informer.on({ add: () => resolve() });
    stop();
    if (informer.size > 0) resolve();
    else informer.on({ add: () => resolve() });
  });
  api.dropWatches();
  await api.until(() => api.requests.filter((each) => each.includes(`resourceVersion=${version}&`)).length > 0);
  t.pass();
});

test('an event cut in the middle, and one that is no JSON, cost nothing', async (t) => {
  const { api, informer, seen, errors } = await begin(t);
  await informer.synced;
  await api.until(() => api.watchCount === 1);
  api.writeToWatches('{"type":"ADDED","object":{"metadata":{"na');
  api.dropWatches();
  await api.until(() => api.watchCount === 1);
  api.writeToWatches('no json at all\n');
  await api.until(() => api.watchCount === 0 || errors.length > 1);
  api.put('a', '1');
  await seen('+default/a=1');
  t.is(api.requests.filter(isAList).length, 1);
});

test('a handler that throws does not end it, nor keep the others from being told', async (t) => {
  const { api, informer, errors, seen } = await begin(t);
  informer.on({
    add: () => {
      throw new Error('a broken handler');
    },
  });
  const late: string[] = [];
  informer.on({ add: (_value, key) => late.push(key) });
  await informer.synced;
  api.put('a', '1');
  api.put('b', '1');
  await seen('+default/b=1');
  t.deepEqual(late, ['default/a', 'default/b']);
  t.is(errors.filter((error) => error.message === 'a broken handler').length, 2);
});

test('a kind that the server does not have counts as empty until it appears', async (t) => {
  const missing = {
    kind: 'Status',
    code: 404,
    reason: 'NotFound',
    message: 'the server could not find the requested resource',
  };
  const { api, informer, seen } = await begin(t, {}, (api) => {
    api.next(isList, (_request, response) => sendJson(response, 404, missing));
  });
  await informer.synced;
  api.put('a', '1');
  await seen('+default/a=1');
  t.is(informer.size, 1);
});

test('forbidden is retried, not synced, and told', async (t) => {
  const { informer, errors } = await begin(t, {}, (api) => {
    api.put('a', '1');
    for (let times = 0; times < 3; times++)
      api.next(isList, (_request, response) => {
        sendJson(response, 403, { kind: 'Status', reason: 'Forbidden', message: 'no RBAC yet' });
      });
  });
  t.false(informer.hasSynced);
  await informer.synced;
  t.is(errors.length, 3);
  t.is(informer.size, 1);
});

test('a server that ends every watch at once is not asked in a busy loop', async (t) => {
  let watches = 0;
  const { api, informer } = await begin(t, { firstBackoffMs: 1_000, maxBackoffMs: 1_000 }, (api) => {
    const end = () =>
      api.next(isWatch, (_request, response) => {
        watches++;
        response.writeHead(200);
        response.end();
        end();
      });
    end();
  });
  await informer.synced;
  await api.until(() => watches === 2);
  const startedAtMs = performance.now();
  await api.until(() => watches === 3);
  t.true(performance.now() - startedAtMs > 400);
});
