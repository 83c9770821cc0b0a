// The lines of a time series panel: which series are drawn, and how.
import { palette } from "../format";
import type { Labels, PanelData, Theme } from "../model/panel";
import type { Panel } from "../model/dashboard";
import { align, alone } from "./align";
import { looks, nameOf, type Look } from "./overrides";
import { stack, type Layer } from "./stack";

export interface Line {
  name: string;
  labels: Labels;
  look: Look;
  /** A name of Grafana's, or a colour of the palette. */
  color: string;
  values: (number | null)[];
  /** Where it is drawn: the value, or the top of its layer. */
  drawn: (number | null)[];
  layer?: Layer;
  /** Indices of points that no line touches. */
  alone: number[];
  shown: boolean;
}

export interface Lines {
  times: number[];
  lines: Line[];
  /** Series of the answer. */
  total: number;
}

/** The lines of a panel, at most limit of them: the largest ones. Names in hidden are not shown, unless that would hide all. */
export function linesOf(panel: Panel, data: PanelData, theme: Theme, hidden: ReadonlySet<string>, limit: number): Lines {
  const look = looks(panel);
  const colors = palette[theme];
  let all = data.answers.flatMap((answer, query) =>
    answer.map((series) => {
      const name = nameOf(panel, query, series.labels);
      return { series, name, look: look(name) };
    }),
  ).map((s, i) => ({ ...s, color: s.look.color ?? colors[i % colors.length]! }));
  const total = all.length;
  if (total > limit) {
    const order = all.map((s, i) => ({ i, size: s.look.color !== undefined ? Infinity : largest(s.series.values) }));
    order.sort((a, b) => b.size - a.size || a.i - b.i);
    const kept = new Set(order.slice(0, limit).map((o) => o.i));
    all = all.filter((_, i) => kept.has(i));
  }
  const grid = align(all.map((s) => s.series), data.step);
  const none = all.every((s) => hidden.has(s.name));
  const lines = all.map(({ name, series, look, color }, i): Line => {
    const values = grid.values[i]!;
    return { name, labels: series.labels, look, color, values, drawn: values, alone: alone(values), shown: none || !hidden.has(name) };
  });
  const stacked = lines.filter((l) => l.shown && l.look.stacked);
  stack(stacked.map((l) => l.values)).forEach((layer, i) => {
    stacked[i]!.layer = layer;
    stacked[i]!.drawn = layer.top;
  });
  return { times: grid.times, lines, total };
}

function largest(values: readonly number[]): number {
  let most = -Infinity;
  for (const v of values) if (v > most && v < Infinity) most = v;
  return most;
}

/** The last value of a line that is there. */
export function last(values: readonly (number | null)[]): number | undefined {
  return values.findLast((v) => v !== null) ?? undefined;
}

/** The names that are hidden after a click on one: it alone is shown, or again all. With toggle, that one alone changes. */
export function afterClick(names: readonly string[], hidden: ReadonlySet<string>, name: string, toggle: boolean): Set<string> {
  const next = new Set(hidden);
  if (toggle) {
    if (!next.delete(name)) next.add(name);
    return names.every((n) => next.has(n)) ? new Set() : next;
  }
  const isolated = !hidden.has(name) && names.every((n) => n === name || hidden.has(n));
  return new Set(isolated ? [] : names.filter((n) => n !== name));
}
