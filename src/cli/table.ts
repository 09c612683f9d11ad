/**
 * Columns aligned by spaces, at least `gap` between two of them, the last one ragged.
 * istioctl's tables have a gap of 5, kubectl's of 3.
 */
export function formatTable(rows: ReadonlyArray<readonly string[]>, gap = 5): string {
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, i) => Math.max(widest[i] ?? 0, cell.length)).concat(widest.slice(row.length)),
    [],
  );
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] + gap)))
        .join('')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}
