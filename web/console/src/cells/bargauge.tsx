// A bar gauge: a bar for the newest value of each series, with the thresholds' colours along its foot.
import { useMemo } from "preact/hooks";
import { canvasColor, color } from "../format";
import type { DrawingProps } from "../model/panel";
import { Empty, paintEmpty } from "./empty";
import { cut, family, px, textWidth } from "./fit";
import { readings } from "./readings";
import { scaleOf, shareOf, zones } from "./scale";

const pad = 10;

export function BarGauge({ panel, data, height, link }: DrawingProps) {
  const list = useMemo(() => readings(panel, data), [panel, data]);
  if (!list.length) return <Empty panel={panel} height={height} />;
  const scale = scaleOf(panel, list.map((r) => r.value));
  const alone = list.length === 1;
  const to = panel.links?.[0];
  return (
    <div class={alone ? "c-bars c-alone" : "c-bars"} style={{ height: px(height) }}>
      {list.map((r, i) => {
        const url = to && link(to.url, {}, r.labels);
        const [min, max, now] = [scale.min, scale.max, Math.min(scale.max, Math.max(scale.min, r.value))];
        return (
          <div class="c-bar-row" key={i}>
            {(!alone || url) && (
              <span class="c-bar-name" title={r.name}>
                {url ? <a href={url}>{r.name}</a> : r.name}
              </span>
            )}
            <div class="c-track" role="meter" aria-label={r.name} aria-valuemin={min} aria-valuemax={max} aria-valuenow={now} aria-valuetext={r.shown.text + r.shown.suffix}>
              <div class="c-fill" style={{ width: `${100 * shareOf(scale, r.value)}%`, background: color(r.color) }} />
              {(r.thresholds?.length ?? 0) > 1 &&
                zones(r.thresholds, scale).map((z) => (
                  <i key={z.color} style={{ left: `${100 * z.from}%`, width: `${100 * (z.to - z.from)}%`, background: color(z.color) }} />
                ))}
            </div>
            <span class="c-bar-value" style={{ color: color(r.color) }}>
              {r.shown.text}
              <span class="c-unit">{r.shown.suffix}</span>
            </span>
          </div>
        );
      })}
    </div>
  );
}

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
