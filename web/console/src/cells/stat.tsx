// A stat: the newest value of each series, large.
import { useMemo } from "preact/hooks";
import { canvasColor, color } from "../format";
import type { DrawingProps } from "../model/panel";
import { Empty, paintEmpty } from "./empty";
import { cut, family, fitSize, px, textWidth, unitShare } from "./fit";
import { readings, type Reading } from "./readings";
import { areaPath, linePath, pieces } from "./sparkline";

const nameHeight = 18;
const pad = 10;
/** The share of the height by which a line moves the value up. */
const lift = 0.18;
const bold = `600 100px ${family}`;

interface Layout {
  list: Reading[];
  across: boolean;
  /** Of a value's room. */
  width: number;
  height: number;
  size: number;
}

function layoutOf({ panel, data, width, height, full }: DrawingProps): Layout {
  const list = readings(panel, data);
  const n = Math.max(1, list.length);
  const across = width > height;
  const [w, h] = across ? [width / n, height] : [width, height / n];
  const named = n > 1 ? nameHeight : 0;
  const widths = list.map(({ shown }) => (textWidth(shown.text, bold) + unitShare * textWidth(shown.suffix, bold)) / 100);
  const room = panel.sparkline ? 0.62 : 0.8;
  return { list, across, width: w, height: h, size: fitSize(widths, w - 2 * pad, (h - named) * room, 13, full ? 120 : 44) };
}

export function Stat(props: DrawingProps) {
  const { panel, data, width, height, full } = props;
  const { list, across, size, ...room } = useMemo(() => layoutOf(props), [panel, data, width, height, full]);
  if (!list.length) return <Empty panel={panel} height={height} />;
  return (
    <div class={across ? "c-stat" : "c-stat c-down"} style={{ height: px(height) }}>
      {list.map((r, i) => (
        <One key={i} r={r} named={list.length > 1} size={size} width={room.width} height={room.height} props={props} />
      ))}
    </div>
  );
}

function One({ r, named, size, width, height, props }: { r: Reading; named: boolean; size: number; width: number; height: number; props: DrawingProps }) {
  const { panel } = props;
  const link = panel.links?.[0];
  const url = link && props.link(link.url, {}, r.labels);
  const style = { [panel.background ? "background" : "color"]: color(r.color), paddingBottom: px(panel.sparkline ? Math.round(height * lift) : 0) };
  const value = (
    <span class="c-value" style={{ fontSize: px(size) }}>
      {r.shown.text}
      {r.shown.suffix && <span class="c-unit">{r.shown.suffix}</span>}
    </span>
  );
  return (
    <div class={panel.background ? "c-one c-on" : "c-one"} style={style}>
      {panel.sparkline && <Sparkline r={r} width={width} height={Math.round(height * 0.4)} props={props} />}
      {named && <span class="c-name">{r.name}</span>}
      {url ? (
        <a class="c-over" href={url} title={link.title}>
          {value}
        </a>
      ) : (
        value
      )}
    </div>
  );
}

function Sparkline({ r, width, height, props }: { r: Reading; width: number; height: number; props: DrawingProps }) {
  const list = pieces(r.series, props.data.range, props.data.step, width, height - 3);
  if (!list.length) return null;
  return (
    <svg class="c-spark" viewBox={`0 -2 ${width} ${height}`} preserveAspectRatio="none" style={{ height: px(height) }} aria-hidden="true">
      <path d={areaPath(list, height)} fill="currentColor" opacity="0.14" />
      <path d={linePath(list)} fill="none" stroke="currentColor" stroke-width="1.3" vector-effect="non-scaling-stroke" opacity="0.75" />
    </svg>
  );
}

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
