// Spans of equal values for a state timeline.
import type { Range, Series } from "../model/panel";

export interface Segment {
  from: number; // seconds
  to: number;
  value: number;
}

/**
 * The spans in which a series had one value, within the range. A value lasts until the next sample, or for a step where that one is
 * missing. What is not finite is missing.
 */
export function segmentsOf(series: Series, step: number, range: Range): Segment[] {
  const list: Segment[] = [];
  for (let i = 0; i < series.times.length; i++) {
    const value = series.values[i]!;
    const from = series.times[i]!;
    const next = series.times[i + 1];
    if (!Number.isFinite(value)) continue;
    const to = next !== undefined && next - from < 1.5 * step ? next : from + step;
    const before = list.at(-1);
    if (before && before.value === value && from - before.to < step / 2) before.to = to;
    else list.push({ from, to, value });
  }
  return list.flatMap((s) => (s.from > range.to || s.to < range.from ? [] : [{ ...s, from: Math.max(s.from, range.from), to: Math.min(s.to, range.to) }]));
}

/** The span that contains t, by binary search. */
export function segmentAt(list: readonly Segment[], t: number): Segment | undefined {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]!.from <= t) low = middle + 1;
    else high = middle;
  }
  const found = list[low - 1];
  return found && t <= found.to ? found : undefined;
}
