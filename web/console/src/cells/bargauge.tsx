// A bar gauge: a bar for the newest value of each series, with the thresholds' colours along its foot.
import { useMemo } from "preact/hooks";
import { color } from "../format";
import type { DrawingProps } from "../model/panel";
import { Empty } from "./empty";
import { px } from "./fit";
import { readings } from "./readings";
import { scaleOf, shareOf, zones } from "./scale";

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
