import { useEffect, useMemo } from "preact/hooks";
import { format, mapped, palette, thresholdColor } from "../format";
import type { Drawing, DrawingProps, PanelData } from "../model/panel";
import type { Panel } from "../model/dashboard";
import { t } from "../texts";
import { align } from "./align";
import { axisHeight, Canvas, drawTimes } from "./canvas";
import { tableOf } from "./csv";
import { cut } from "../format/cut";
import { font, inks, textWidth, type Ink } from "./ink";
import { Legend, legendHeight, paintLegend, type Entry } from "./legend";
import { looks, nameOf, type Look } from "./overrides";
import { segmentAt, segmentsOf, type Segment } from "./segments";
import { px, Surface, type Box } from "./surface";
import { clock, stamp } from "./ticks";
import type { Content } from "./tooltip";

const leastRow = 22;

interface Row {
  name: string;
  look: Look;
  segments: Segment[];
}

interface View {
  rows: Row[];
  total: number;
  /** Of the rows, within the picture that scrolls. */
  box: Box;
  picture: number; // height of the rows' picture
  room: number; // of it that is seen
  axis: number;
  legend: number;
}

/** What a row's value is called, and its colour's name or value. */
function meaning(panel: Panel, look: Look, value: number): { text: string; color: string } {
  const known = mapped(look.values, value);
  const text = known?.text ?? format(value, panel.unit, panel.decimals);
  // Without a colour of its own a value keeps one, whichever row has it.
  return { text, color: known?.color ?? thresholdColor(look.thresholds, value) ?? `palette:${Math.abs(Math.round(value))}` };
}

function rowsOf(panel: Panel, data: PanelData): Row[] {
  const look = looks(panel);
  return data.answers.flatMap((answer, query) =>
    answer.map((series) => {
      const name = nameOf(panel, query, series.labels);
      return { name, look: look(name), segments: segmentsOf(series, data.step, data.range) };
    }),
  ).filter((row) => row.segments.length > 0);
}

function viewOf(props: DrawingProps): View {
  const { panel, data, width, height, full } = props;
  const all = rowsOf(panel, data);
  const rows = all.slice(0, full ? 300 : 50);
  const axis = axisHeight(data.range);
  const legend = panel.noLegend ? 0 : legendHeight(states(props, rows).map((s) => s.text), width, height, full);
  const room = Math.max(leastRow, height - axis - legend - 4);
  const row = Math.max(leastRow, Math.min(56, room / Math.max(1, rows.length)));
  const left = Math.ceil(Math.min(width * 0.3, Math.max(24, ...rows.map((r) => textWidth(r.name))))) + 14;
  const picture = Math.floor(row * rows.length);
  const bar = picture > room ? 10 : 0; // a scroll bar covers nothing
  return { rows, total: all.length, box: { left, top: 0, width: Math.max(1, width - left - 12 - bar), height: picture }, picture, room: Math.min(room, picture), axis, legend };
}

function Timeline(props: DrawingProps) {
  const { panel, data, width, height, theme, full, note } = props;
  const ink = useMemo(inks, [theme, data]);
  const view = useMemo(() => viewOf(props), [panel, data, width, height, full]);
  const { rows, box, picture, room, axis, total } = view;
  useEffect(() => note(rows.length < total ? t.charts.shownRows(rows.length, total) : undefined), [rows.length, total]);
  if (!rows.length) return <div class="chart-empty">{panel.noValue || t.charts.noData}</div>;
  const row = picture / rows.length;
  return (
    <div class="chart">
      <div class="chart-scroll" style={{ height: px(room) }} tabIndex={picture > room ? 0 : undefined} role={picture > room ? "group" : undefined} aria-label={picture > room ? panel.title : undefined}>
        <Surface
          plot={box}
          range={data.range}
          step={data.step}
          cursor={props.cursor}
          zoom={props.zoom}
          label={summary(props, view)}
          inspect={(time, y) => inspect(props, view, ink, time, y)}
          heights={() => rows.map((_, i) => (i + 0.5) * row)}
        >
          <Canvas width={width} height={picture} of={[view, ink]} draw={(ctx) => drawRows(ctx, props, view, ink)} />
        </Surface>
      </div>
      <Canvas width={width} height={axis} of={[view, ink]} draw={(ctx) => drawTimes(ctx, data.range, { ...box, top: 0, height: 0 }, ink)} />
      {view.legend > 0 && <Legend entries={entries(props, rows, ink)} height={view.legend} />}
    </div>
  );
}

function resolve(ink: Ink, theme: "light" | "dark", name: string): string {
  const number = /^palette:(\d+)$/.exec(name)?.[1];
  return ink(number === undefined ? name : palette[theme][Number(number) % palette[theme].length]!);
}

function drawRows(ctx: CanvasRenderingContext2D, { panel, data, theme }: DrawingProps, { rows, box, picture }: View, ink: Ink): void {
  const { range } = data;
  const row = picture / Math.max(1, rows.length);
  drawTimes(ctx, range, { ...box, height: picture }, ink);
  const x = (time: number) => box.left + ((time - range.from) / (range.to - range.from)) * box.width;
  ctx.font = font;
  ctx.textBaseline = "middle";
  rows.forEach(({ name, segments, look }, i) => {
    const top = i * row + row * 0.05;
    const height = row * 0.9;
    const middle = top + height / 2;
    ctx.textAlign = "right";
    ctx.fillStyle = ink("--dim");
    ctx.fillText(cut(name, box.left - 12, textWidth), box.left - 8, middle);
    ctx.textAlign = "left";
    for (const segment of segments) {
      const { text, color } = meaning(panel, look, segment.value);
      const left = x(segment.from);
      const width = Math.max(2, x(segment.to) - left);
      const fill = resolve(ink, theme, color);
      ctx.fillStyle = fill;
      ctx.globalAlpha = 0.85;
      ctx.fillRect(Math.min(left, box.left + box.width - 2), top, width, height);
      ctx.globalAlpha = 1;
      if (textWidth(text) + 8 > width) continue;
      ctx.fillStyle = readable(fill);
      ctx.fillText(text, left + 4, middle);
    }
  });
}

/** Black or white, whichever is read better on a colour. */
function readable(hex: string): string {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((i) => (parseInt(hex.slice(i, i + 2), 16) / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.2 ? "#000000" : "#ffffff";
}

function inspect({ panel, data, theme }: DrawingProps, { rows, box, picture }: View, ink: Ink, at: number, y: number): Content | undefined {
  const height = picture / rows.length;
  const i = Math.max(0, Math.min(rows.length - 1, Math.floor(y / height)));
  const row = rows[i]!;
  const segment = segmentAt(row.segments, at);
  const head = stamp(at);
  const x = ((at - data.range.from) / (data.range.to - data.range.from)) * box.width;
  const dot = { x, y: (i + 0.5) * height, color: "transparent" };
  if (!segment) return { time: at, head, rows: [{ color: "transparent", name: row.name, value: t.charts.missing }], dot };
  const { text, color } = meaning(panel, row.look, segment.value);
  const [from, to] = [clock(segment.from, true), clock(segment.to, true)];
  const lasted = format(segment.to - segment.from, "dtdurations", 1).replace(/, 0 \w+$/, "");
  return {
    time: at,
    head,
    rows: [{ color: resolve(ink, theme, color), sample: "block", name: row.name, value: text, marked: true }],
    more: `${t.charts.range(from, to)}, ${t.charts.lasted(lasted)}`,
    dot,
  };
}

function states({ panel }: DrawingProps, rows: readonly Row[]): { text: string; color: string }[] {
  const known = new Map<string, { text: string; color: string }>();
  for (const row of rows) {
    for (const segment of row.segments) {
      const m = meaning(panel, row.look, segment.value);
      known.set(m.text, m);
    }
  }
  return [...known.values()];
}

function entries(props: DrawingProps, rows: readonly Row[], ink: Ink): Entry[] {
  return states(props, rows).map((s) => ({ name: s.text, color: resolve(ink, props.theme, s.color), dashed: false, shown: true }));
}

function summary({ panel, data }: DrawingProps, { rows, total }: View): string {
  const values = rows.slice(0, 3).map((r) => `${r.name} ${meaning(panel, r.look, r.segments.at(-1)!.value).text}`);
  const range = t.charts.range(stamp(data.range.from), stamp(data.range.to));
  return t.charts.summary({ title: panel.title, what: t.charts.rows(total), range, values, more: total - values.length });
}

export const stateTimeline: Drawing = {
  component: Timeline,
  rows(panel, data) {
    const look = looks(panel);
    const all = data.answers.flatMap((answer, query) => answer.map((series) => ({ series, name: nameOf(panel, query, series.labels) })));
    const { times, values } = align(all.map((s) => s.series), data.step);
    const [head = [], ...body] = tableOf(times, all.map((s) => s.name), values);
    const texts = all.map((s) => look(s.name).values);
    return [head, ...body.map((line) => line.map((cell, i) => (i === 0 || cell === "" ? cell : (mapped(texts[i - 1], Number(cell))?.text ?? cell))))];
  },
  paint(ctx, props) {
    const view = viewOf(props);
    if (!view.rows.length) return;
    const ink = inks();
    const { room, box } = view;
    ctx.save();
    ctx.beginPath();
    ctx.rect(0, 0, props.width, room);
    ctx.clip();
    drawRows(ctx, props, view, ink);
    ctx.restore();
    drawTimes(ctx, props.data.range, { ...box, top: room, height: 0 }, ink);
    if (view.legend) paintLegend(ctx, entries(props, view.rows, ink), 4, room + view.axis, props.width - 8, view.legend, ink("--text"));
  },
};
