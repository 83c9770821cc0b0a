// A table's content from its panel and data.
import type { Panel } from "../model/dashboard";
import type { PanelData } from "../model/panel";
import { cellOf, columnsOf, type Shown } from "./columns";
import { numberCell, textCell } from "../format/csv";
import { spread } from "./matrix";
import { merge, type Row } from "./merge";
import { sorted, type Order } from "./sort";

export interface Grid {
  /** All columns, with those that only links use. */
  all: Shown[];
  columns: Shown[];
  /** In the order of the answers. */
  rows: Row[];
  /** The panel's own order. */
  order: Order | undefined;
}

export function gridOf(panel: Panel, data: PanelData): Grid {
  const rows = panel.matrix ? spread(panel.matrix, data.answers[0] ?? []) : merge(data.answers);
  const all = columnsOf(panel, rows);
  const columns = all.filter((c) => !c.hidden);
  const column = columns.findIndex((c) => c.title === panel.sortBy);
  if (panel.matrix) return { all, columns, rows, order: { column: 0, descending: false } };
  return { all, columns, rows, order: column < 0 ? undefined : { column, descending: true } };
}

/** The rows in an order. */
export function inOrder(grid: Grid, order: Order | undefined): Row[] {
  const column = order && grid.columns[order.column];
  return column ? sorted(grid.rows, column.value, order.descending) : grid.rows;
}

/** What is shown, as rows of CSV cells in the panel's order. A mapped value is its text; other numbers are in full. */
export function csvOf(panel: Panel, data: PanelData): string[][] {
  const grid = gridOf(panel, data);
  const rows = inOrder(grid, grid.order).map((row) =>
    grid.columns.map((c) => {
      const v = c.value(row);
      if (v === undefined) return "";
      if (typeof v === "string" || c.meanings?.some((m) => m.value === v)) return textCell(cellOf(c, row).absent ? "" : cellOf(c, row).text);
      return numberCell(v, c.unit);
    }),
  );
  return [grid.columns.map((c) => textCell(c.title.trim())), ...rows];
}

/** The columns of long texts with blanks, which wrap. Others are in one line. */
export function prose(grid: Grid): Set<Shown> {
  const rows = grid.rows.slice(0, 200);
  return new Set(grid.columns.filter((c) => !c.numeric && rows.some((row) => /^(?=.* ).{25}/.test(cellOf(c, row).text))));
}
