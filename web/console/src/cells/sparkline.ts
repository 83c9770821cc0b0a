// The line behind a stat's value.
import type { Range, Series } from "../model/panel";

export type Point = readonly [x: number, y: number];

/** The line's pieces in a box of width by height: a missing value or more than two steps without a point ends a piece. */
export function pieces(series: Series, range: Range, step: number, width: number, height: number): Point[][] {
  if (width <= 0 || height <= 0) return []; // a panel that has no size yet
  const values = series.values.filter(Number.isFinite);
  const low = Math.min(...values);
  const high = Math.max(...values);
  const length = range.to - range.from;
  const out: Point[][] = [];
  let piece: Point[] | undefined;
  let before = -Infinity;
  series.times.forEach((time, i) => {
    const v = series.values[i]!;
    if (!Number.isFinite(v)) {
      piece = undefined;
      return;
    }
    if (!piece || time - before > 2.5 * step) out.push((piece = []));
    before = time;
    piece.push([((time - range.from) / length) * width, high > low ? height - ((v - low) / (high - low)) * height : height / 2]);
  });
  return out.filter((p) => p.length > 1);
}

const xy = ([x, y]: Point) => `${x.toFixed(1)},${y.toFixed(1)}`;

/** Data of an SVG path along the pieces. */
export function linePath(list: readonly Point[][]): string {
  return list.map((p) => "M" + p.map(xy).join("L")).join("");
}

/** Data of an SVG path around the areas below the pieces, down to bottom. */
export function areaPath(list: readonly Point[][], bottom: number): string {
  return list.map((p) => `M${xy([p[0]![0], bottom])}L${p.map(xy).join("L")}L${xy([p.at(-1)![0], bottom])}Z`).join("");
}
