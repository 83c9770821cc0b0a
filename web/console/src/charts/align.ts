// Brings the series of an answer onto one grid of times.
import type { Series } from "../model/panel";

/** Values at equidistant times; null where a series has no sample, or one that is not a number or not finite. */
export interface Grid {
  times: number[]; // seconds
  values: (number | null)[][];
}

const mostPoints = 50_000; // Prometheus gives 11,000; this bounds a wrong step alone

/** Puts the series on a grid of the given step in seconds, which begins at the earliest sample. */
export function align(series: readonly Series[], step: number): Grid {
  let from = Infinity;
  let to = -Infinity;
  for (const { times } of series) {
    if (!times.length) continue;
    from = Math.min(from, times[0]!);
    to = Math.max(to, times[times.length - 1]!);
  }
  if (from > to) return { times: [], values: series.map(() => []) };
  const width = Math.max(step > 0 ? step : 1, (to - from) / mostPoints);
  const count = Math.round((to - from) / width) + 1;
  const values = series.map((s) => {
    const line = new Array<number | null>(count).fill(null);
    for (let i = 0; i < s.times.length; i++) {
      const v = s.values[i]!;
      if (Number.isFinite(v)) line[Math.round((s.times[i]! - from) / width)] = v;
    }
    return line;
  });
  return { times: Array.from({ length: count }, (_, i) => from + i * width), values };
}

/** The index of the time nearest to t in ascending times; -1 without times. */
export function nearest(times: readonly number[], t: number): number {
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! < t) low = middle + 1;
    else high = middle;
  }
  return low > 0 && t - times[low - 1]! <= times[low]! - t ? low - 1 : high;
}

/** The indices of values without a neighbour: no line shows them. */
export function alone(values: readonly (number | null)[]): number[] {
  const list: number[] = [];
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null) list.push(i);
  }
  return list;
}
