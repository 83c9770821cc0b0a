// Where the panels of a row are on a page of a width.
import type { Panel, Row } from "../model/dashboard";

export const lineHeight = 30;
export const gap = 8;

export type Width = "wide" | "middle" | "narrow";

export function widthOf(pixels: number): Width {
  return pixels < 600 ? "narrow" : pixels < 900 ? "middle" : "wide";
}

/** A panel's place in the grid of its band: 24 columns, and lines from 1, as CSS counts. */
export interface Placed {
  panel: Panel;
  column: number;
  line: number;
  columns: number;
  lines: number;
}

/** Panels that share lines. One that grows is a table or a text alone on the whole width: it is as high as its content, at most its lines. */
export interface Band {
  panels: Placed[];
  lines: number;
  grows: boolean;
}

/** Places the panels of a row. */
export function place(row: Row, width: Width): Band[] {
  const placed = width === "wide" ? row.panels.map((panel) => ({ panel, column: panel.x + 1, line: panel.y + 1, columns: panel.w, lines: panel.h })) : flow(row, width);
  const bands: Band[] = [];
  let end = 0; // the first line after the band
  let begin = 1;
  for (const p of [...placed].sort((a, b) => a.line - b.line || a.column - b.column)) {
    if (bands.length === 0 || p.line >= end) {
      begin = p.line;
      end = begin;
      bands.push({ panels: [], lines: 0, grows: false });
    }
    const band = bands.at(-1)!;
    band.panels.push({ ...p, line: p.line - begin + 1 });
    end = Math.max(end, p.line + p.lines);
    band.lines = end - begin;
  }
  for (const b of bands) b.grows = b.panels.length === 1 && b.panels[0]!.columns === 24 && ["table", "text"].includes(b.panels[0]!.panel.kind);
  return bands;
}

/** One panel after the other, with the widths of a smaller page. */
function flow(row: Row, width: Width): Placed[] {
  const placed: Placed[] = [];
  let x = 0;
  let y = 0;
  let line = 1;
  let height = 0;
  for (const panel of row.panels) {
    const columns = columnsOf(panel, width);
    const other = x > 0 && panel.y !== y && panel.h !== height; // a line of graphs begins below one of numbers
    if (x + columns > 24 || other) {
      fillUp(placed, line, 24 - x);
      x = 0;
      line += height;
      height = 0;
    }
    placed.push({ panel, column: x + 1, line, columns, lines: panel.h });
    x += columns;
    y = panel.y;
    height = Math.max(height, panel.h);
  }
  fillUp(placed, line, 24 - x);
  return placed;
}

/** Gives the room that a line leaves to its last panel. */
function fillUp(placed: Placed[], line: number, room: number): void {
  const last = placed.at(-1);
  if (last?.line === line) last.columns += room;
}

function columnsOf(panel: Panel, width: Width): number {
  if (panel.kind === "stat" && panel.w <= 6) return width === "narrow" ? 12 : 6; // a number needs no more
  if (width === "narrow") return 24;
  return panel.w <= 14 && panel.kind !== "table" ? 12 : 24;
}

/** Pixels of so many lines. */
export function heightOf(lines: number): number {
  return lines * lineHeight + (lines - 1) * gap;
}

/** Pixels of so many columns on a page of a width. */
export function columnsWidth(columns: number, pixels: number): number {
  return Math.floor(((pixels + gap) * columns) / 24 - gap);
}

/** The panel with an id. */
export function panelOf(rows: readonly Row[], id: number): Panel | undefined {
  for (const row of rows) for (const panel of row.panels) if (panel.id === id) return panel;
  return undefined;
}
