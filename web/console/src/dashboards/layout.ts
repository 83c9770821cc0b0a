// Where the panels of a row are on a page of a width.
import type { Panel, Row } from "../model/dashboard";

export const lineHeight = 30;
export const gap = 8;

export type Width = "wide" | "middle" | "narrow";

export function widthOf(pixels: number): Width {
  return pixels < 600 ? "narrow" : pixels < 900 ? "middle" : "wide";
}

/** A panel's place in a grid of 24 columns; lines from 1, as CSS counts. Without height: as high as its content. */
export interface Placed {
  panel: Panel;
  column: number;
  line: number;
  columns: number;
  lines: number;
  /** Grows with its content. */
  grows: boolean;
}

/** Places the panels of a row. */
export function place(row: Row, width: Width): Placed[] {
  if (width === "wide") return row.panels.map((panel) => ({ panel, column: panel.x + 1, line: panel.y + 1, columns: panel.w, lines: panel.h, grows: false }));
  const placed: Placed[] = [];
  let x = 0;
  let line = 1;
  let height = 0;
  for (const panel of row.panels) {
    const columns = columnsOf(panel, width);
    if (x + columns > 24) {
      fillUp(placed, line, 24 - x);
      x = 0;
      line += height;
      height = 0;
    }
    placed.push({ panel, column: x + 1, line, columns, lines: panel.h, grows: width === "narrow" && panel.kind === "table" });
    x += columns;
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
