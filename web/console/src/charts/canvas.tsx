// Charts that draw on a canvas of their own.
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Range } from "../model/panel";
import { fit, font, type Ink } from "./ink";
import type { Box } from "./surface";
import { date, fitting } from "./ticks";

interface Props {
  width: number;
  height: number;
  /** What the picture is of: it is drawn again when one differs. */
  of: readonly unknown[];
  draw(ctx: CanvasRenderingContext2D): void;
}

/** A canvas that draws itself after each change. */
export function Canvas({ width, height, of, draw }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    const ctx = fit(canvas.current!, width, height);
    if (ctx) draw(ctx);
  }, [width, height, ...of]);
  return <canvas ref={canvas} aria-hidden="true" />;
}

/** The height of a time axis: of one line, or of two where days have names. */
export const axisHeight = (range: Range) => (date(range.from) !== date(range.to) ? 36 : 22);

/** Draws the labels of a time axis below the box, and its lines within. */
export function drawTimes(ctx: CanvasRenderingContext2D, range: Range, box: Box, ink: Ink): void {
  ctx.font = font;
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  ctx.lineWidth = 1;
  ctx.strokeStyle = ink("--grid");
  ctx.fillStyle = ink("--dim");
  for (const { time, label, day } of fitting(range, box.width, 12)) {
    const x = box.left + ((time - range.from) / (range.to - range.from)) * box.width;
    ctx.beginPath();
    ctx.moveTo(Math.round(x) + 0.5, box.top);
    ctx.lineTo(Math.round(x) + 0.5, box.top + box.height);
    ctx.stroke();
    ctx.fillText(label, x, box.top + box.height + 5);
    if (day) ctx.fillText(day, x, box.top + box.height + 20);
  }
}
