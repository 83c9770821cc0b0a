// The scale of a bar gauge.
import type { Panel, Threshold } from "../model/dashboard";

interface Scale {
  min: number;
  max: number;
}

/** The panel's, or as the values need it: from 0 or the least to the greatest. */
export function scaleOf(panel: Panel, values: readonly number[]): Scale {
  const finite = values.filter(Number.isFinite);
  const min = panel.min ?? Math.min(0, ...finite);
  const max = panel.max ?? Math.max(...finite, min);
  return { min, max: max > min ? max : min + 1 };
}

/** The share of the bar that is filled, 0 to 1. */
export function shareOf({ min, max }: Scale, value: number): number {
  if (Number.isNaN(value)) return 0;
  return Math.min(1, Math.max(0, (value - min) / (max - min)));
}

/** Where each threshold's colour begins and ends, in shares of the bar; without what is outside of it. */
export function zones(thresholds: readonly Threshold[] | undefined, scale: Scale): { color: string; from: number; to: number }[] {
  const list = thresholds ?? [];
  return list
    .map((t, i) => ({
      color: t.color,
      from: t.from === undefined ? 0 : shareOf(scale, t.from),
      to: i + 1 < list.length ? shareOf(scale, list[i + 1]!.from ?? scale.min) : 1,
    }))
    .filter(({ from, to }) => to > from);
}
