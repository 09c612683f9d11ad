import test from 'ava';
import { clusterOf, tableOf } from '../testing/tables.ts';
import { Statistics } from './statistics.ts';

function told(statistics: Statistics, name: string): boolean {
  let found = false;
  statistics.list(0, (cluster) => {
    found ||= cluster === name;
    return true;
  });
  return found;
}

test('what is counted of a cluster goes with it, once nothing of it is under way', (t) => {
  const statistics = new Statistics();
  const [steady, passing] = [clusterOf('steady', []), clusterOf('passing', [])];
  statistics.adopt(tableOf({ listeners: [], clusters: [steady, passing] }));
  statistics.cluster(steady).upstreamRqTotal++;
  const counters = statistics.cluster(passing);
  counters.upstreamRqActive++;
  statistics.adopt(tableOf({ listeners: [], clusters: [steady] }));
  t.true(told(statistics, 'passing'), 'a request is under way');
  counters.upstreamRqActive--;
  statistics.adopt(tableOf({ listeners: [], clusters: [steady] }));
  t.false(told(statistics, 'passing'));
  t.true(told(statistics, 'steady'));
  t.is(statistics.cluster(steady).upstreamRqTotal, 1);
});
