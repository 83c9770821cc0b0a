// The picture of a time series panel.
import { formatAxis } from "../format";
import type { Panel } from "../model/dashboard";
import type { Range } from "../model/panel";
import { axisHeight, drawTimes } from "./canvas";
import { faint, font, textWidth, type Ink } from "./ink";
import type { Line, Lines } from "./lines";
import type { MarkGroup } from "./marks";
import { runs } from "./stack";
import type { Box } from "./surface";
import { ticksIn, valueTicks } from "./ticks";
import { valueRange } from "./valuerange";

export interface Picture {
  panel: Panel;
  lines: Lines;
  range: Range;
  marks: readonly MarkGroup[];
  width: number;
  height: number;
}

/** Where things are in a picture, CSS pixels. */
export interface Frame {
  box: Box;
  ticks: { value: number; label: string }[];
  /** Within the box. */
  x(time: number): number;
  y(value: number): number;
  value(y: number): number;
}

export function frameOf({ panel, lines, range, width, height }: Picture): Frame {
  const top = 8;
  const high = Math.max(1, height - top - axisHeight(range));
  const [least, most] = valueRange(panel, lines.lines, ...extent(lines, range));
  const values = valueTicks(least, most, ticksIn(high), panel.unit, panel.decimals);
  const labels = formatAxis(values, panel.unit, panel.decimals);
  const left = Math.ceil(Math.max(24, ...labels.map(textWidth))) + 12;
  const box = { left, top, width: Math.max(1, width - left - 14), height: high };
  return {
    box,
    ticks: values.map((value, i) => ({ value, label: labels[i]! })),
    x: (time) => ((time - range.from) / (range.to - range.from)) * box.width,
    y: (value) => (1 - (value - least) / (most - least)) * high,
    value: (y) => least + (1 - y / high) * (most - least),
  };
}

/** The least and the largest value that is drawn in the range. */
function extent({ times, lines }: Lines, range: Range): [number | null, number | null] {
  let [low, high] = [Infinity, -Infinity];
  for (const { shown, drawn } of lines) {
    if (!shown) continue;
    for (let i = 0; i < times.length; i++) {
      const v = drawn[i] ?? null;
      if (v === null || times[i]! < range.from || times[i]! > range.to) continue;
      if (v < low) low = v;
      if (v > high) high = v;
    }
  }
  return low > high ? [null, null] : [low, high];
}

export function drawPlot(ctx: CanvasRenderingContext2D, picture: Picture, frame: Frame, ink: Ink): void {
  const { box } = frame;
  drawTimes(ctx, picture.range, box, ink);
  drawValues(ctx, frame, ink);
  ctx.save();
  ctx.beginPath();
  ctx.rect(box.left, box.top - 1, box.width, box.height + 2); // a line at an end has its whole width
  ctx.clip();
  ctx.translate(box.left, box.top);
  const { times, lines } = picture.lines;
  const shown = lines.filter((l) => l.shown);
  for (const line of shown) drawArea(ctx, times, line, frame, ink);
  for (const line of shown) drawLine(ctx, times, line, frame, ink);
  drawThresholds(ctx, picture.panel, frame, ink);
  drawMarks(ctx, picture.marks, frame, ink);
  ctx.restore();
}

function drawValues(ctx: CanvasRenderingContext2D, { box, ticks, y }: Frame, ink: Ink): void {
  ctx.font = font;
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  ctx.lineWidth = 1;
  ctx.strokeStyle = ink("--grid");
  ctx.fillStyle = ink("--dim");
  for (const { value, label } of ticks) {
    const at = Math.round(box.top + y(value)) + 0.5;
    ctx.beginPath();
    ctx.moveTo(box.left, at);
    ctx.lineTo(box.left + box.width, at);
    ctx.stroke();
    ctx.fillText(label, box.left - 6, at);
  }
}

function drawArea(ctx: CanvasRenderingContext2D, times: readonly number[], { drawn, layer, look, color }: Line, { x, y }: Frame, ink: Ink): void {
  if (look.fill <= 0) return;
  ctx.fillStyle = faint(ink(color), look.fill);
  ctx.beginPath();
  for (const [from, to] of runs(drawn)) {
    trace(ctx, times, drawn, from, to, look.stepped, x, y);
    if (!layer) {
      ctx.lineTo(x(times[to]!), y(0));
      ctx.lineTo(x(times[from]!), y(0));
    } else {
      for (let i = to; i >= from; i--) {
        if (look.stepped && i < to) ctx.lineTo(x(times[i + 1]!), y(layer.bottom[i]!));
        ctx.lineTo(x(times[i]!), y(layer.bottom[i]!));
      }
    }
    ctx.closePath();
  }
  ctx.fill();
}

function drawLine(ctx: CanvasRenderingContext2D, times: readonly number[], { drawn, alone, look, color }: Line, { x, y }: Frame, ink: Ink): void {
  const ratio = ctx.getTransform().a;
  const half = Math.round(look.width * ratio) % 2 ? 0.5 : 0;
  const sharp = (at: number) => (Math.round(at * ratio) + half) / ratio;
  ctx.strokeStyle = ctx.fillStyle = ink(color);
  ctx.lineWidth = look.width;
  ctx.lineJoin = "round";
  ctx.setLineDash(look.dash ?? []);
  ctx.beginPath();
  for (const [from, to] of runs(drawn)) {
    if (from < to) trace(ctx, times, drawn, from, to, look.stepped, x, (v) => sharp(y(v)));
  }
  ctx.stroke();
  for (const i of alone) {
    ctx.beginPath();
    ctx.arc(x(times[i]!), y(drawn[i]!), 2.5, 0, 7);
    ctx.fill();
  }
}

function trace(ctx: CanvasRenderingContext2D, times: readonly number[], values: readonly (number | null)[], from: number, to: number, stepped: boolean, x: (t: number) => number, y: (v: number) => number): void {
  ctx.moveTo(x(times[from]!), y(values[from]!));
  for (let i = from + 1; i <= to; i++) {
    if (stepped) ctx.lineTo(x(times[i]!), y(values[i - 1]!));
    ctx.lineTo(x(times[i]!), y(values[i]!));
  }
}

function drawThresholds(ctx: CanvasRenderingContext2D, { thresholds = [] }: Panel, { box, y }: Frame, ink: Ink): void {
  if (thresholds.length < 2) return;
  ctx.lineWidth = 1;
  ctx.setLineDash([8, 6]);
  for (const { from, color } of thresholds) {
    if (from === undefined) continue;
    const at = Math.round(y(from)) + 0.5;
    ctx.strokeStyle = ink(color);
    ctx.beginPath();
    ctx.moveTo(0, at);
    ctx.lineTo(box.width, at);
    ctx.stroke();
  }
}

function drawMarks(ctx: CanvasRenderingContext2D, marks: readonly MarkGroup[], { box, x }: Frame, ink: Ink): void {
  ctx.lineWidth = 1;
  ctx.setLineDash([3, 3]);
  for (const { time, color } of marks) {
    const at = Math.round(x(time)) + 0.5;
    ctx.strokeStyle = ctx.fillStyle = ink(color);
    ctx.beginPath();
    ctx.moveTo(at, 0);
    ctx.lineTo(at, box.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(at - 5, box.height);
    ctx.lineTo(at + 5, box.height);
    ctx.lineTo(at, box.height - 7);
    ctx.fill();
  }
}
