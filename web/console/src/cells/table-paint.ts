// A table as a picture.
import { canvasColor } from "../format";
import type { DrawingProps } from "../model/panel";
import { t } from "../texts";
import { cellOf, type Shown } from "./columns";
import { emptyText } from "./empty";
import { cut, family } from "./fit";
import { gridOf, inOrder } from "./grid";

const line = 26;
const pad = 8;

/** Widths that fill the room: what the texts need, shrunk in proportion where they need more. */
export function widthsOf(needs: readonly number[], wishes: readonly (number | undefined)[], room: number): number[] {
  const wanted = needs.map((need, i) => Math.max(need, wishes[i] ?? 0));
  const sum = wanted.reduce((a, b) => a + b, 0);
  if (sum > room) {
    const fair = room / wanted.length;
    const small = wanted.filter((w) => w <= fair);
    const rest = room - small.reduce((a, b) => a + b, 0);
    const large = sum - small.reduce((a, b) => a + b, 0);
    return wanted.map((w) => (w <= fair ? w : (w / large) * rest));
  }
  const free = wanted.filter((_, i) => wishes[i] === undefined).length;
  const spare = room - sum;
  return wanted.map((w, i) => (free ? (wishes[i] === undefined ? w + spare / free : w) : w + spare / wanted.length));
}

export function paintTable(ctx: CanvasRenderingContext2D, props: DrawingProps): void {
  const { panel, data, width, height } = props;
  const grid = gridOf(panel, data);
  ctx.textBaseline = "middle";
  if (!grid.rows.length) {
    ctx.textAlign = "center";
    ctx.fillStyle = canvasColor("dim");
    ctx.font = `14px ${family}`;
    ctx.fillText(emptyText(panel), width / 2, height / 2);
    return;
  }
  const rows = inOrder(grid, grid.order);
  const fits = Math.max(1, Math.floor(height / line) - 1);
  const drawn = rows.slice(0, rows.length <= fits ? fits : Math.max(1, fits - 1));
  const plain = `13px ${family}`;
  const bold = `600 12px ${family}`;
  const measure = (text: string) => ctx.measureText(text).width;
  const needs = grid.columns.map((c) => {
    ctx.font = bold;
    const head = measure(c.title);
    ctx.font = plain;
    return Math.max(head, c.paints === "bar" ? 90 : 0, ...drawn.map((row) => measure(cellOf(c, row).text))) + 2 * pad;
  });
  const widths = widthsOf(needs, grid.columns.map((c) => c.width), width);
  const write = (c: Shown, text: string, x: number, w: number, y: number) => {
    const align = c.align ?? (c.numeric && c.paints !== "bar" ? "right" : "left");
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
