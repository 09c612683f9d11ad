/** Rules across a Telemetry's fields. */
import { below, each, eachEntry, type Report } from '../../schema/problem.ts';
import type { Telemetry } from '../telemetry.ts';
import { checkSelected } from './small-rules.ts';

/** Of several providers of traces the first counts (Istio: Telemetry, tracing). */
export function checkTelemetry({ spec }: Pick<Telemetry, 'metadata' | 'spec'>, report: Report): void {
  checkSelected({ spec }, report);
  const at = below(report, 'spec');
  if ((spec.tracing?.length ?? 0) > 1)
    at.warning(['tracing'], 'has several entries: of those that match, the last sets each field');
  each(at, 'tracing', spec.tracing, (tracing, there) => {
    if ((tracing.providers?.length ?? 0) > 1)
      there.error(['providers'], 'can name one: traces go to one provider', 'conflict');
    eachEntry(there, 'customTags', tracing.customTags, (name, tag, where) => {
      if (name === '') where.error([], 'must have a name', 'required');
      if (!tag.literal && !tag.environment && !tag.header && !tag.formatter)
        where.error([], 'needs one of literal, environment, header and formatter', 'required');
    });
  });
  each(at, 'metrics', spec.metrics, (metrics, there) =>
    each(there, 'overrides', metrics.overrides, (override, where) =>
      eachEntry(where, 'tagOverrides', override.tagOverrides, (name, _, tag) => {
        if (name === '') tag.error([], 'must have a name', 'required');
      }),
    ),
  );
}
