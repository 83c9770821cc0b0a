import { useEffect, useMemo, useRef } from "preact/hooks";
import { format } from "../format";
import type { Drawing, DrawingProps } from "../model/panel";
import { t } from "../texts";
import { align, nearest } from "./align";
import { Canvas } from "./canvas";
import { inks, type Ink } from "./ink";
import { Legend, legendHeight, paintLegend, type Entry } from "./legend";
import { last, linesOf, type Line, type Lines } from "./lines";
import { groupAt, groups, type MarkGroup } from "./marks";
import { nameOf } from "./overrides";
import { drawPlot, frameOf, type Frame, type Picture } from "./plot";
import { pointedAt, ranked } from "./rank";
import { Surface } from "./surface";
import { tableOf } from "./csv";
import { clock, stamp } from "./ticks";
import type { Content } from "./tooltip";

const mostRows = 20;

function TimeSeries(props: DrawingProps) {
  const { panel, data, width, height, theme, hidden, full, note } = props;
  const before = useRef<Inspected>(null);
  const lines = useMemo(() => linesOf(panel, data, theme, hidden, limit(full)), [panel, data, theme, hidden, full]);
  const ink = useMemo(inks, [theme, data]);
  const { picture, legend } = useMemo(() => layout(props, lines), [lines, width, height]);
  const frame = useMemo(() => frameOf(picture), [picture]);
  const { marks } = picture;
  useEffect(() => note(noteOf(lines, marks)), [lines, marks]);

  if (lines.times.length === 0) return <div class="chart-empty">{panel.noValue || t.charts.noData}</div>;
  return (
    <div class="chart">
      <Surface
        plot={frame.box}
        range={data.range}
        step={data.step}
        cursor={props.cursor}
        zoom={props.zoom}
        label={summary(props, lines)}
        inspect={(time, y) => {
          before.current = inspect(props, picture, frame, ink, time, y, before.current);
          return before.current?.content;
        }}
        heights={(time) => {
          const i = nearest(lines.times, time);
          return lines.lines.flatMap((l) => (l.shown && (l.drawn[i] ?? null) !== null ? [frame.y(l.drawn[i]!)] : []));
        }}
      >
        <Canvas width={width} height={picture.height} of={[frame, ink]} draw={(ctx) => drawPlot(ctx, picture, frame, ink)} />
      </Surface>
      {legend > 0 && <Legend entries={entries(lines, ink)} height={legend} choose={{ hidden, set: props.setHidden }} />}
    </div>
  );
}

const limit = (full: boolean) => (full ? 300 : 100);
function layout({ panel, data, width, height, full }: DrawingProps, lines: Lines): { picture: Picture; legend: number } {
  const legend = panel.noLegend ? 0 : legendHeight(lines.lines.map((l) => l.name), width, height, full);
  const marks = groups(data.marks, data.range, ((data.range.to - data.range.from) / Math.max(width, 1)) * 8);
  return { picture: { panel, lines, range: data.range, marks, width, height: height - legend }, legend };
}

function noteOf({ lines, total }: Lines, marks: readonly MarkGroup[]): string | undefined {
  const events = marks.reduce((n, g) => n + g.marks.length, 0);
  const parts = [
    ...(lines.length < total ? [t.charts.shownSeries(lines.length, total)] : []),
    ...(marks.length < events ? [t.charts.events(events, marks.length)] : []),
  ];
  return parts.length ? parts.join("; ") : undefined;
}

function entries({ lines }: Lines, ink: Ink): Entry[] {
  return lines.map((l) => ({ name: l.name, color: ink(l.color), dashed: l.look.dash !== undefined, shown: l.shown }));
}

function summary({ panel, data }: DrawingProps, { lines, total }: Lines): string {
  const shown = lines.filter((l) => l.shown);
  const values = shown.slice(0, 3).map((l) => {
    const v = last(l.values);
    return `${l.name} ${v === undefined ? t.charts.missing : format(v, panel.unit, panel.decimals)}`;
  });
  const range = t.charts.range(stamp(data.range.from), stamp(data.range.to));
  return t.charts.summary({ title: panel.title, what: t.charts.series(total), range, values, more: shown.length - values.length });
}

/** What was found where the pointer was, and of what: most moves find the same again. */
interface Inspected {
  of: unknown[];
  content: Content;
}

function inspect(props: DrawingProps, { lines: of, marks }: Picture, frame: Frame, ink: Ink, at: number, y: number, before: Inspected | null): Inspected | null {
  const { panel, data } = props;
  const { times, lines } = of;
  const i = nearest(times, at);
  if (i < 0) return null;
  const candidates = lines.flatMap((line: Line) => {
    const value = line.values[i] ?? null;
    return line.shown && value !== null ? [{ line, value, at: line.drawn[i]!, stacked: line.layer !== undefined }] : [];
  });
  const pointed = pointedAt(candidates, frame.value(y));
  const pixel = (data.range.to - data.range.from) / Math.max(frame.box.width, 1);
  const group = groupAt(marks, at, pixel * 5);
  if (!pointed && !group) return null;
  const key = [of, ink, frame, i, pointed?.line, group, props.link];
  if (before?.of.every((v, k) => v === key[k])) return before;
  const { shown, more } = ranked(candidates, mostRows, pointed);
  const write = (v: number) => format(v, panel.unit, panel.decimals);
  const events = (group?.marks ?? []).slice(0, 8).map((m) => ({ color: ink(m.color), text: t.charts.event(m.name, m.text, clock(m.time, true)) }));
  if (group && group.marks.length > 8) events.push({ color: ink(group.color), text: t.charts.more(group.marks.length - 8) });
  const links = pointed ? (panel.links ?? []).flatMap(({ title, url }) => linkOf(props, title, url, pointed.line)) : [];
  const time = times[i]!;
  const content: Content = {
    time,
    head: stamp(time),
    events,
    rows: shown.map((c) => ({ color: ink(c.line.color), sample: c.line.look.dash && "dashed", name: c.line.name, value: write(c.value), marked: c === pointed })),
    ...(more > 0 && { more: t.charts.more(more) }),
    links,
    ...(pointed && { dot: { x: frame.x(time), y: frame.y(pointed.at), color: ink(pointed.line.color) } }),
  };
  return { of: key, content };
}

function linkOf(props: DrawingProps, title: string, url: string, { labels }: Line): { title: string; url: string }[] {
  const filled = props.link(url, {}, labels);
  if (filled === undefined) return [];
  return [{ title: title.replace(/\$\{__field\.labels\.(\w+)\}/g, (_, label: string) => labels[label] ?? ""), url: filled }];
}

export const timeseries: Drawing = {
  component: TimeSeries,
  rows(panel, data) {
    const all = data.answers.flatMap((answer, query) => answer.map((series) => ({ series, name: nameOf(panel, query, series.labels) })));
    const { times, values } = align(all.map((s) => s.series), data.step);
    return tableOf(times, all.map((s) => s.name), values);
  },
  paint(ctx, props) {
    const { panel, data, theme, hidden, full } = props;
    const lines = linesOf(panel, data, theme, hidden, limit(full));
    if (lines.times.length === 0) return;
    const { picture, legend } = layout(props, lines);
    const ink = inks();
    drawPlot(ctx, picture, frameOf(picture), ink);
    if (legend) paintLegend(ctx, entries(lines, ink), 4, picture.height, props.width - 8, legend, ink("--text"));
  },
};
