// A table as a picture.
import { canvasColor } from "../../format";
import type { DrawingProps } from "../../model/panel";
import { t } from "../../texts";
import { alignOf, cellOf, type Shown } from "../columns";
import { paintEmpty } from "./empty";
import { cut } from "../../format/cut";
import { family } from "../fit";
import { gridOf, inOrder } from "../grid";

const line = 26;
const pad = 8;

/** A text takes no more room than this; the rest of it is cut. */
const textRoom = 320;

/** Widths that fill the room, where there is more than the texts need: wishes first, the rest for the columns without one. */
export function widthsOf(needs: readonly number[], wishes: readonly (number | undefined)[], room: number): number[] {
  const total = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
  let widths = needs.map((need, i) => Math.max(need, wishes[i] ?? 0));
  if (total(widths) > room) widths = [...needs];
  const takers = wishes.some((w) => w === undefined) ? wishes.map((w) => w === undefined) : wishes.map(() => true);
  const spare = Math.max(0, room - total(widths)) / takers.filter(Boolean).length;
  return widths.map((w, i) => (takers[i] ? w + spare : w));
}

export function paintTable(ctx: CanvasRenderingContext2D, props: DrawingProps): void {
  const { panel, data } = props;
  let { width, height } = props;
  const grid = gridOf(panel, data);
  if (!grid.rows.length) return paintEmpty(ctx, panel, width, height);
  ctx.textBaseline = "middle";
  const rows = inOrder(grid, grid.order);
  const plain = `13px ${family}`;
  const bold = `600 12px ${family}`;
  const measure = (text: string) => ctx.measureText(text).width;
  const needs = grid.columns.map((c) => {
    ctx.font = bold;
    const head = measure(c.title);
    ctx.font = plain;
    const texts = rows.slice(0, 200).map((row) => Math.min(textRoom, measure(cellOf(c, row).text)));
    return Math.max(head, c.paints === "bar" ? 90 : 0, ...texts) + 2 * pad;
  });
  // A number that is cut is another number: all is drawn smaller instead.
  const shrink = Math.min(1, width / needs.reduce((a, b) => a + b, 0));
  ctx.scale(shrink, shrink);
  width /= shrink;
  height /= shrink;
  const fits = Math.max(1, Math.floor(height / line) - 1);
  const drawn = rows.slice(0, rows.length <= fits ? fits : Math.max(1, fits - 1));
  const widths = widthsOf(needs, grid.columns.map((c) => c.width), width);
  const write = (c: Shown, text: string, x: number, w: number, y: number) => {
    const align = alignOf(c);
    ctx.textAlign = align;
    ctx.fillText(cut(text, w - 2 * pad, measure), align === "left" ? x + pad : align === "right" ? x + w - pad : x + w / 2, y);
  };
  let x = 0;
  grid.columns.forEach((c, i) => {
    const w = widths[i]!;
    ctx.font = bold;
    ctx.fillStyle = canvasColor("dim");
    write(c, c.title, x, w, line / 2);
    ctx.font = plain;
    drawn.forEach((row, r) => {
      const cell = cellOf(c, row);
      const y = (r + 1) * line;
      ctx.fillStyle = canvasColor(cell.absent ? "dim" : "text");
      if (cell.share !== undefined) {
        ctx.fillStyle = canvasColor("grid");
        ctx.fillRect(x + pad, y + 7, w - 2 * pad - 46, line - 14);
        ctx.fillStyle = canvasColor(cell.color!);
        ctx.fillRect(x + pad, y + 7, (w - 2 * pad - 46) * cell.share, line - 14);
        ctx.fillStyle = canvasColor("text");
        ctx.textAlign = "right";
        ctx.fillText(cell.text, x + w - pad, y + line / 2);
        return;
      }
      if (cell.color && c.paints === "background") {
        ctx.fillStyle = canvasColor(cell.color);
        ctx.fillRect(x + 3, y + 3, w - 6, line - 6);
        ctx.fillStyle = canvasColor("surface");
      } else if (cell.color) ctx.fillStyle = canvasColor(cell.color);
      write(c, cell.text, x, w, y + line / 2);
    });
    x += w;
  });
  ctx.strokeStyle = canvasColor("line");
  ctx.lineWidth = 1;
  for (let r = 0; r <= drawn.length; r++) {
    ctx.beginPath();
    ctx.moveTo(0, (r + 1) * line + 0.5);
    ctx.lineTo(width, (r + 1) * line + 0.5);
    ctx.stroke();
  }
  if (drawn.length < rows.length) {
    ctx.textAlign = "left";
    ctx.fillStyle = canvasColor("dim");
    ctx.fillText(t.cells.moreRows(rows.length - drawn.length), pad, (drawn.length + 1.5) * line);
  }
}
