/** One bar a proxy and case: its cost with Envoy's as 1, and the goal as a mark. */
import type { CaseResult, ProxyName } from './measure.ts';
import { ratioToEnvoy } from './report.ts';

const colours: Partial<Record<ProxyName, string>> = { lateen: '#0b7285', nginx: '#94a3b8', haproxy: '#cbd5e1' };
const names: Partial<Record<ProxyName, string>> = { lateen: 'Lateen', nginx: 'nginx', haproxy: 'HAProxy' };
const left = 330;
const right = 60;
const width = 900;
const bar = 13;
const gap = 12;
const top = 52;
/** What is longer is cut off, with its figure beside it. */
const most = 2;

const xml = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** SVG; cases without a ratio are left out. */
export function plot(results: readonly CaseResult[]): string {
  const x = (ratio: number) => left + (Math.min(ratio, most) / most) * (width - left - right);
  const parts: string[] = [];
  let y = top;
  for (const result of results) {
    const bars = (Object.keys(names) as ProxyName[]).flatMap((proxy) => {
      const ratio = ratioToEnvoy(result, proxy);
      return ratio === null ? [] : [{ proxy, ratio }];
    });
    if (bars.length === 0) continue;
    const height = bars.length * bar;
    parts.push(
      `<text x="${left - 10}" y="${y + height / 2 + 4}" text-anchor="end">${xml(result.title)}</text>`,
      ...bars.map(({ proxy, ratio }, i) => {
        const at = y + i * bar;
        const text = `${ratio.toFixed(2)}${proxy === 'lateen' ? '' : ` ${names[proxy]}`}`;
        return `<rect x="${left}" y="${at + 1}" width="${(x(ratio) - left).toFixed(1)}" height="${bar - 2}" fill="${colours[proxy]}"/><text x="${(x(ratio) + 5).toFixed(1)}" y="${at + bar - 3}" font-size="10">${text}</text>`;
      }),
    );
    if (result.goal?.of === 'envoy') {
      const at = x(result.goal.atMost).toFixed(1);
      parts.push(`<path d="M${at} ${y - 3}V${y + height + 3}" stroke="#c92a2a" stroke-width="2"/>`);
    }
    y += height + gap;
  }
  const axis = [0, 0.5, 1, 1.5, 2].map(
    (value) =>
      `<path d="M${x(value)} ${top - 8}V${y}" stroke="${value === 1 ? '#495057' : '#dee2e6'}"/><text x="${x(value)}" y="${top - 14}" text-anchor="middle">${value}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + 8}" viewBox="0 0 ${width} ${y + 8}" font-family="sans-serif" font-size="12" fill="#212529">
<rect width="100%" height="100%" fill="#fff"/>
<text x="${left}" y="18" font-weight="bold">Cost with Envoy's as 1 (less is better; red: the goal)</text>
${[...axis, ...parts].join('\n')}
</svg>
`;
}
