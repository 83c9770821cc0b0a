// The range of a value axis by Grafana's rules.
import type { Panel } from "../model/dashboard";
import type { Line } from "./lines";

/**
 * Fixed ends of the panel hold; the soft end of a series yields to larger values; beyond the others there is a margin of a tenth, which
 * doesn't cross zero. low and high are the least and the largest value that is drawn, or null.
 */
export function valueRange(panel: Panel, lines: readonly Line[], low: number | null, high: number | null): [number, number] {
  const soft = Math.max(...lines.filter((l) => l.shown).map((l) => l.look.softMax ?? -Infinity));
  const { min, max } = panel;
  const least = min ?? low ?? 0;
  const most = max ?? high ?? least;
  const one = panel.unit === "percent" ? 100 : 1;
  if (least === 0 && most === 0 && soft === -Infinity) return [0, one];
  const delta = most - least > 1e-10 * Math.max(Math.abs(most), Math.abs(least)) ? most - least : 0;
  const size = delta || Math.max(Math.abs(least), Math.abs(most)) || 1;
  const round = 10 ** Math.floor(Math.log10(size)) / 10;
  const margin = delta ? 0.1 * delta : size; // of a flat line, as much again
  let from = min ?? Math.floor((least - margin) / round + 1e-9) * round;
  let to = max ?? Math.ceil((most + margin) / round - 1e-9) * round;
  if (min === undefined && from < 0 && least >= 0) from = 0;
  if (max === undefined && to > 0 && most <= 0) to = 0;
  if (max === undefined && soft > -Infinity) to = most <= soft ? soft : Math.max(to, soft);
  return from < to ? [from, to] : [from, from + one];
}
