import { canvasColor } from "../../format";
import type { DrawingProps } from "../../model/panel";
import { cut } from "../../format/cut";
import { family, textWidth } from "../fit";
import { readings } from "../readings";
import { scaleOf, shareOf } from "../scale";
import { paintEmpty } from "./empty";

const pad = 10;

export function paintBarGauge(ctx: CanvasRenderingContext2D, { panel, data, width: outer, height }: DrawingProps): void {
  const list = readings(panel, data);
  const width = outer - 2 * pad;
  if (!list.length) return paintEmpty(ctx, panel, outer, height);
  ctx.translate(pad, 0);
  ctx.textBaseline = "middle";
  ctx.font = `13px ${family}`;
  const scale = scaleOf(panel, list.map((r) => r.value));
  const texts = list.map(({ shown }) => shown.text + shown.suffix);
  const values = Math.max(...texts.map((text) => textWidth(text, `600 13px ${family}`))) + 10;
  const names = list.length > 1 ? Math.min(width * 0.4, Math.max(...list.map((r) => textWidth(r.name, ctx.font)))) + 10 : 0;
  const line = Math.min(48, Math.max(24, height / list.length));
  list.forEach((r, i) => {
    const y = i * line;
    const bar = width - names - values;
    ctx.textAlign = "left";
    ctx.fillStyle = canvasColor("text");
    if (names) ctx.fillText(cut(r.name, names - 10, (text) => ctx.measureText(text).width), 0, y + line / 2);
    ctx.fillStyle = canvasColor("grid");
    ctx.fillRect(names, y + 4, bar, line - 8);
    ctx.fillStyle = canvasColor(r.color);
    ctx.fillRect(names, y + 4, bar * shareOf(scale, r.value), line - 8);
    ctx.save();
    ctx.textAlign = "right";
    ctx.font = `600 13px ${family}`;
    ctx.fillText(texts[i]!, width, y + line / 2);
    ctx.restore();
  });
}
