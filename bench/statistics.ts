export interface Summary {
  count: number;
  min: number;
  mean: number;
  median: number;
  p90: number;
  max: number;
}

/** By the nearest rank, so every figure but the mean is one that was seen. Throws for no samples. */
export function summarize(samples: readonly number[]): Summary {
  if (samples.length === 0) throw new Error('nothing was measured');
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
  return {
    count: sorted.length,
    min: at(0),
    mean: sorted.reduce((sum, each) => sum + each, 0) / sorted.length,
    median: at(0.5),
    p90: at(0.9),
    max: at(1),
  };
}
