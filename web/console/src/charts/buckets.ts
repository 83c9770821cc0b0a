// Cells of a heatmap from the cumulative counts of a classic histogram.
import type { Series } from "../model/panel";
import { align } from "./align";

export interface Bucket {
  low: number; // exclusive; -Infinity below the first bound, unless that is positive
  high: number; // inclusive
}

export interface Cells {
  times: number[];
  /** From the lowest to the highest. */
  buckets: Bucket[];
  /** For each bucket its count at each time; null where it is not known. */
  counts: (number | null)[][];
  most: number;
}

/**
 * Subtracts from each bucket the one below it. Series of equal bounds are added, as those of several instances. Where a bucket is missing,
 * the one above takes its count; where counts fall with the bound, because scrapes were torn, the cell is 0.
 */
export function cellsOf(series: readonly Series[], step: number): Cells {
  const grid = align(series, step);
  const sums = new Map<number, (number | null)[]>();
  series.forEach((s, i) => {
    const bound = parseBound(s.labels.le);
    if (Number.isNaN(bound)) return;
    const values = grid.values[i]!;
    const sum = sums.get(bound);
    if (!sum) sums.set(bound, [...values]);
    else values.forEach((v, k) => { if (v !== null) sum[k] = (sum[k] ?? 0) + v; });
  });
  const bounds = [...sums.keys()].sort((a, b) => a - b);
  const below = grid.times.map(() => 0);
  let most = 0;
  const counts = bounds.map((bound) =>
    sums.get(bound)!.map((v, k) => {
      if (v === null) return null;
      const count = Math.max(0, v - below[k]!);
      below[k] = Math.max(below[k]!, v);
      most = Math.max(most, count);
      return count;
    }),
  );
  const buckets = bounds.map((high, i) => ({ low: i ? bounds[i - 1]! : high > 0 ? 0 : -Infinity, high }));
  return { times: grid.times, buckets, counts, most };
}

function parseBound(le: string | undefined): number {
  if (le === undefined || le === "") return NaN;
  return /^\+?inf$/i.test(le) ? Infinity : Number(le);
}

/** A count's place on the colour scale, 0 to 1: the square root, so that rare ones are seen beside frequent ones. Below 1e-9 there is none. */
export function shade(count: number | null, most: number): number | undefined {
  return count === null || count <= 1e-9 || most <= 0 ? undefined : Math.sqrt(Math.min(1, count / most));
}
