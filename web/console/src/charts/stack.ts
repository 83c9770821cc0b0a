// Stacks series: each stands on those before it, the negative values below zero.

export interface Layer {
  top: (number | null)[];
  bottom: number[];
}

/** The layers of the series, in their order. A missing value has no height, and no top. */
export function stack(series: readonly (readonly (number | null)[])[]): Layer[] {
  const up: number[] = [];
  const down: number[] = [];
  return series.map((values) => {
    const bottom: number[] = [];
    const top = values.map((v, i) => {
      const sums = v !== null && v < 0 ? down : up;
      const low = (bottom[i] = sums[i] ?? 0);
      return v === null ? null : (sums[i] = low + v);
    });
    return { top, bottom };
  });
}

/** The ranges of indices, both ends included, in which no value is missing. */
export function runs(values: readonly (number | null)[]): [number, number][] {
  const list: [number, number][] = [];
  let from = -1;
  for (let i = 0; i <= values.length; i++) {
    const there = i < values.length && values[i] !== null;
    if (there && from < 0) from = i;
    if (!there && from >= 0) {
      list.push([from, i - 1]);
      from = -1;
    }
  }
  return list;
}
