// Geometry of sparklines.

export interface Points {
  times: readonly number[];
  values: readonly number[];
}

/**
 * The path of a sparkline in a box, from 0 or the lowest value to the highest; times are placed in the range. A gap of more than
 * two steps, or a value that is none, breaks the line; a single point is a short dash. Empty without values.
 */
export function sparkPath(points: Points, from: number, to: number, step: number, width: number, height: number, most?: number): string {
  const values = points.values.filter(Number.isFinite);
  if (values.length === 0 || to <= from) return "";
  const low = Math.min(0, ...values);
  const high = Math.max(most ?? 0, ...values);
  const y = (v: number) => (high === low ? height - 1 : 1 + ((high - v) / (high - low)) * (height - 2));
  const x = (t: number) => ((t - from) / (to - from)) * width;
  let path = "";
  let last: number | undefined;
  let length = 0;
  let end = 0; // of the line so far
  const endRun = () => {
    if (length === 1) path += end > width - 2 ? "h-1.5" : "h1.5";
    length = 0;
  };
  points.times.forEach((time, i) => {
    const value = points.values[i]!;
    if (!Number.isFinite(value)) {
      last = undefined;
      return;
    }
    const joined = last !== undefined && time - last <= 2 * step;
    if (!joined) endRun();
    path += `${joined ? "L" : "M"}${round(x(time))} ${round(y(value))}`;
    length++;
    end = x(time);
    last = time;
  });
  endRun();
  return path;
}

function round(n: number): number {
  return Math.round(n * 10) / 10;
}

/** The newest value, if it is not older than two steps before the end. */
export function newest(points: Points | undefined, to: number, step: number): number | undefined {
  if (!points || points.times.length === 0) return undefined;
  const at = points.times.length - 1;
  const value = points.values[at]!;
  return Number.isFinite(value) && to - points.times[at]! <= 2 * step ? value : undefined;
}
