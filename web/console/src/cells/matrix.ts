import type { Matrix } from "../model/dashboard";
import type { Series } from "../model/panel";
import { newest, type Row } from "./merge";
import { natural } from "./sort";

/** Spreads series over two labels, as Grafana's transformation "groupingToMatrix" does: a row for each value of down, a cell for each of across. */
export function spread(matrix: Matrix, series: readonly Series[]): Row[] {
  const rows = new Map<string, Row>();
  for (const one of series) {
    const down = one.labels[matrix.down] ?? "";
    let row = rows.get(down);
    if (!row) rows.set(down, (row = { labels: { [matrix.down]: down }, values: [], cells: Object.create(null) }));
    const value = newest(one);
    row.cells![one.labels[matrix.across] ?? ""] = value;
  }
  return [...rows.values()].sort((a, b) => natural(a.labels[matrix.down]!, b.labels[matrix.down]!));
}
