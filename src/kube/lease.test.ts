import test from 'ava';
import type { KubeClient } from './client.ts';
import { ApiError } from './error.ts';
import { Lease } from './lease.ts';
import type { ApiObject } from './object.ts';
import { ManualClock } from './testing/manual-clock.ts';

/** One Lease object with the API server's optimistic concurrency; `cutOff` names who cannot reach it. */
class LeaseStore {
  object: ApiObject | null = null;
  readonly cutOff = new Set<string>();
  #version = 0;

  client(who: string): KubeClient {
    const reach = () => {
      if (this.cutOff.has(who)) throw new ApiError('GET lease', 0, 'ECONNREFUSED', 'connect ECONNREFUSED');
    };
    const keep = (object: ApiObject) => {
      this.object = structuredClone({
        ...object,
        metadata: { ...object.metadata, resourceVersion: String(++this.#version) },
      });
      return structuredClone(this.object);
    };
    return {
      get: async () => {
        reach();
        return structuredClone(this.object);
      },
      create: async (_of: unknown, object: ApiObject) => {
        reach();
        if (this.object) throw new ApiError('POST lease', 409, 'AlreadyExists', 'exists');
        return keep(object);
      },
      update: async (_of: unknown, object: ApiObject) => {
        reach();
        if (this.object?.metadata?.resourceVersion !== object.metadata?.resourceVersion)
          throw new ApiError('PUT lease', 409, 'Conflict', 'changed');
        return keep(object);
      },
    } as unknown as KubeClient;
  }
}

function candidate(store: LeaseStore, clock: ManualClock, identity: string, log: string[]) {
  const ending = new AbortController();
  const lease = new Lease({
    client: store.client(identity),
    clock,
    namespace: 'lateen-operator',
    name: 'lateen-operator',
    identity,
    lead: (signal) => {
      log.push(`${identity} up at ${clock.nowMs() / 1000}`);
      signal.addEventListener('abort', () => log.push(`${identity} down at ${clock.nowMs() / 1000}`));
    },
  });
  const run = lease.run(ending.signal);
  const end = () => {
    ending.abort();
    return run;
  };
  return { lease, end };
}

test('one leads; it gives the lease back at its end and the other follows at once', async (t) => {
  const store = new LeaseStore();
  const clock = new ManualClock();
  const log: string[] = [];
  const a = candidate(store, clock, 'a', log);
  await clock.advance(100);
  const b = candidate(store, clock, 'b', log);
  await clock.advance(60_000);
  t.true(a.lease.isLeader);
  t.false(b.lease.isLeader);
  t.is(b.lease.holder, 'a');
  await a.end();
  await clock.advance(3_000);
  t.true(b.lease.isLeader);
  t.is(log.length, 3);
  await b.end();
});

test('a leader that is cut off steps down before the other steps up', async (t) => {
  const store = new LeaseStore();
  const clock = new ManualClock();
  const log: string[] = [];
  const a = candidate(store, clock, 'a', log);
  await clock.advance(100);
  const b = candidate(store, clock, 'b', log);
  await clock.advance(30_000);
  store.cutOff.add('a');
  await clock.advance(40_000);
  t.is(log.map((line) => line.replace(/ at .*/, '')).join(', '), 'a up, a down, b up');
  const at = (line: string) => Number(line.split(' ').at(-1));
  t.true(at(log[1]) < at(log[2]));
  store.cutOff.delete('a');
  await clock.advance(30_000);
  t.false(a.lease.isLeader);
  await a.end();
  await b.end();
});

test('a candidate that just came waits the whole lease, whatever the times written in it say', async (t) => {
  const store = new LeaseStore();
  const clock = new ManualClock();
  const log: string[] = [];
  const spec = { holderIdentity: 'dead', leaseDurationSeconds: 15, renewTime: '2001-01-01T00:00:00.000000Z' };
  store.object = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { resourceVersion: '0' },
    spec,
  } as ApiObject;
  const a = candidate(store, clock, 'a', log);
  await clock.advance(14_000);
  t.false(a.lease.isLeader);
  await clock.advance(5_000);
  t.true(a.lease.isLeader);
  await a.end();
});
