// Events in a chart: those that would lie on each other become one line.
import type { Mark, Range } from "../model/panel";

export interface MarkGroup {
  time: number; // of the first
  color: string;
  marks: Mark[];
}

/** The events within the range, in order; those less than `distance` seconds after the first of a group join it. */
export function groups(marks: readonly Mark[], range: Range, distance: number): MarkGroup[] {
  const inside = marks.filter((m) => m.time >= range.from && m.time <= range.to).sort((a, b) => a.time - b.time);
  const list: MarkGroup[] = [];
  for (const mark of inside) {
    const before = list.at(-1);
    if (before && mark.time - before.time < distance) before.marks.push(mark);
    else list.push({ time: mark.time, color: mark.color, marks: [mark] });
  }
  return list;
}

/** The group closest to t, at most `distance` seconds away. */
export function groupAt(list: readonly MarkGroup[], t: number, distance: number): MarkGroup | undefined {
  let best: MarkGroup | undefined;
  for (const g of list) if (Math.abs(g.time - t) <= distance && (!best || Math.abs(g.time - t) < Math.abs(best.time - t))) best = g;
  return best;
}
