// A stat: the newest value of each series, large.
import { useMemo } from "preact/hooks";
import { color } from "../format";
import type { DrawingProps } from "../model/panel";
import { Empty } from "./empty";
import { family, fitSize, px, textWidth, unitShare } from "./fit";
import { readings, type Reading } from "./readings";
import { areaPath, linePath, pieces } from "./sparkline";

export const nameHeight = 18;
export const pad = 10;
/** The share of the height by which a line moves the value up. */
export const lift = 0.18;
const bold = `600 100px ${family}`;

interface Layout {
  list: Reading[];
  across: boolean;
  /** Of a value's room. */
  width: number;
  height: number;
  size: number;
}

export function layoutOf({ panel, data, width, height, full }: DrawingProps): Layout {
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
  if (width <= 0) return null;
  const list = pieces(r.series, props.data.range, props.data.step, width, height - 3);
  if (!list.length) return null;
  return (
    <svg class="c-spark" viewBox={`0 -2 ${width} ${height}`} preserveAspectRatio="none" style={{ height: px(height) }} aria-hidden="true">
      <path d={areaPath(list, height)} fill="currentColor" opacity="0.14" />
      <path d={linePath(list)} fill="none" stroke="currentColor" stroke-width="1.3" vector-effect="non-scaling-stroke" opacity="0.75" />
    </svg>
  );
}
