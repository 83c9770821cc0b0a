import { canvasColor } from "../../format";
import type { DrawingProps } from "../../model/panel";
import { cut } from "../../format/cut";
import { family, textWidth, unitShare } from "../fit";
import { areaPath, linePath, pieces } from "../sparkline";
import { layoutOf, lift, nameHeight, pad } from "../stat";
import { paintEmpty } from "./empty";

export function paintStat(ctx: CanvasRenderingContext2D, props: DrawingProps): void {
  const { panel, data, width, height } = props;
  const { list, across, size, ...room } = layoutOf(props);
  if (!list.length) paintEmpty(ctx, panel, width, height);
  list.forEach((r, i) => {
    const x = across ? i * room.width : 0;
    const y = across ? 0 : i * room.height;
    ctx.save();
    ctx.translate(x, y);
    const hue = canvasColor(r.color);
    if (panel.background) {
      ctx.fillStyle = hue;
      ctx.fillRect(0, 0, room.width, room.height);
    }
    if (panel.sparkline) {
      const h = Math.round(room.height * 0.4);
      const list = pieces(r.series, data.range, data.step, room.width, h - 3);
      ctx.save();
      ctx.translate(0, room.height - h + 2);
      ctx.fillStyle = ctx.strokeStyle = hue;
      ctx.globalAlpha = 0.14;
      ctx.fill(new Path2D(areaPath(list, h)));
      ctx.globalAlpha = 0.75;
      ctx.stroke(new Path2D(linePath(list)));
      ctx.restore();
    }
    const named = list.length > 1;
    const middle = room.width / 2;
    if (named) {
      ctx.textAlign = "center";
      ctx.fillStyle = canvasColor(panel.background ? "surface" : "dim");
      ctx.font = `12px ${family}`;
      ctx.fillText(cut(r.name, room.width - 2 * pad, (text) => ctx.measureText(text).width), middle, room.height / 2 - size * 0.6);
    }
    const [big, small] = [`600 ${size}px ${family}`, `600 ${size * unitShare}px ${family}`];
    const [w, u] = [textWidth(r.shown.text, big), textWidth(r.shown.suffix, small)];
    ctx.fillStyle = canvasColor(panel.background ? "surface" : r.color);
    ctx.textAlign = "left";
    const base = room.height / 2 + size * 0.36 + (named ? nameHeight / 2 : 0) - (panel.sparkline ? (room.height * lift) / 2 : 0);
    ctx.font = big;
    ctx.fillText(r.shown.text, middle - (w + u) / 2, base);
    ctx.font = small;
    ctx.fillText(r.shown.suffix, middle - (w + u) / 2 + w, base);
    ctx.restore();
  });
}
