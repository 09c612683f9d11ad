import test from 'ava';
import { curlFrom, tally } from '../support/curl.ts';
import { ingress, manifests, meshClient, removeFile } from '../support/mesh.ts';
import { apply } from '../support/objects.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';
import { waitFor } from '../support/wait.ts';

evidenceOnFailure(test);

const namespace = 'default';
const reviews = 'http://reviews:9080/reviews/0';
const ratings = 'http://ratings:9080/ratings/0';
const jason = { 'end-user': 'jason' };

test.serial('1,000 requests split 90 to 10', async (t) => {
  await apply(manifests.destinationRules(), { namespace });
  await apply(manifests.reviews9010(), { namespace });
  const client = await meshClient();
  const version = /"podname"\s*:\s*"(reviews-v\d)/;
  await waitFor(
    async () => {
      const seen = await tally(client, reviews, { count: 30, key: version });
      return Object.keys(seen).every((each) => each === 'reviews-v1' || each === 'reviews-v2');
    },
    { what: 'v3 to get nothing any more' },
  );
  const seen = await tally(client, reviews, { count: 1000, key: version });
  t.log(seen);
  const second = seen['reviews-v2'] ?? 0;
  t.is((seen['reviews-v1'] ?? 0) + second, 1000);
  // Each request is drawn for itself: three standard deviations are passed by chance once in 370 runs, five once in a million.
  const fiveDeviations = 5 * Math.sqrt(1000 * 0.9 * 0.1);
  t.true(Math.abs(second - 100) <= fiveDeviations, `${second} of 1,000 went to v2`);
});

test.serial('an abort of ratings meets user jason only', async (t) => {
  await apply(manifests.ratingsAbort(), { namespace });
  const client = await meshClient();
  const aborted = await waitFor(
    async () => {
      const answer = await curlFrom(client, ratings, { headers: jason });
      return answer.status === 500 && answer;
    },
    { what: 'the abort to take effect' },
  );
  t.is(aborted.body, 'fault filter abort');
  t.is((await curlFrom(client, ratings)).status, 200);
  t.is((await curlFrom(client, ratings, { headers: { 'end-user': 'jane' } })).status, 200);
});

test.serial('a delay of ratings meets user jason only, and shows on his page', async (t) => {
  await apply(manifests.reviewsTestV2(), { namespace });
  await apply(manifests.ratingsDelay(), { namespace });
  const gateway = await ingress();
  const cookie = 'session=jason';
  await waitFor(
    async () => /Error fetching product reviews/.test((await gateway.page('/productpage', { cookie })).body),
    {
      what: "jason's page to lose its reviews",
      timeoutMs: 60_000,
    },
  );
  const client = await meshClient();
  const delayed = await curlFrom(client, ratings, { headers: jason, timeoutMs: 20_000 });
  t.is(delayed.status, 200);
  t.true(delayed.durationMs >= 7_000 && delayed.durationMs < 9_000, `${delayed.durationMs} ms`);
  const other = await curlFrom(client, ratings);
  t.is(other.status, 200);
  t.true(other.durationMs < 3_000, `${other.durationMs} ms`);
  t.regex((await gateway.page('/productpage')).body, /Reviews served by: reviews-v1/);
  await gateway.close();
});

test.after.always('the routes go again', async () => {
  await removeFile(manifests.ratingsDelay());
  await removeFile(manifests.reviewsTestV2());
});
