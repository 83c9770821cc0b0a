import { useEffect, useMemo } from "preact/hooks";
import { format } from "../format";
import type { Drawing, DrawingProps } from "../model/panel";
import { t } from "../texts";
import { nearest } from "./align";
import { cellsOf, shade, type Bucket, type Cells } from "./buckets";
import { axisHeight, Canvas, drawTimes } from "./canvas";
import { tableOf } from "./csv";
import { font, inks, mix, textWidth, type Ink } from "./ink";
import { Surface, type Box } from "./surface";
import { stamp } from "./ticks";
import type { Content } from "./tooltip";

const scaleHeight = 22; // of the colours' legend

function Heatmap(props: DrawingProps) {
  const { panel, data, width, height, theme, note } = props;
  const cells = useMemo(() => cellsOf(data.answers.flat(), data.step), [data]);
  const ink = useMemo(inks, [theme, data]);
  useEffect(() => note(undefined), [data]);
  if (!some(cells)) return <div class="chart-empty">{panel.noValue || t.charts.noBuckets}</div>;
  const box = boxOf(props, cells);
  const row = box.height / cells.buckets.length;
  return (
    <div class="chart">
      <Surface
        plot={box}
        range={data.range}
        step={data.step}
        cursor={props.cursor}
        zoom={props.zoom}
        label={summary(props, cells)}
        inspect={(time, y) => inspect(props, cells, box, ink, time, y)}
        heights={() => cells.buckets.map((_, i) => box.height - (i + 0.5) * row)}
      >
        <Canvas width={width} height={height} of={[cells, ink]} draw={(ctx) => draw(ctx, props, cells, box, ink)} />
      </Surface>
    </div>
  );
}

/** A single bucket above everything has no bounds to show. */
const some = (cells: Cells) => cells.buckets.some((b) => Number.isFinite(b.high));

const labels = (cells: Cells, unit?: string) => cells.buckets.map((b) => format(b.high, unit));

function boxOf({ panel, data, width, height }: DrawingProps, cells: Cells): Box {
  const left = Math.ceil(Math.max(24, ...labels(cells, panel.unit).map(textWidth))) + 14;
  return { left, top: 8, width: Math.max(1, width - left - 12), height: Math.max(1, height - 8 - axisHeight(data.range) - scaleHeight) };
}

/** Sixty-four steps from the background over blue to its strongest. */
function scale(ink: Ink, theme: "light" | "dark"): string[] {
  const [surface, blue] = [ink("--surface"), ink("--blue")];
  const strongest = theme === "light" ? mix(blue, "#061a4d", 0.75) : mix(blue, "#ffffff", 0.75);
  return Array.from({ length: 64 }, (_, i) => {
    const share = i / 63;
    return share < 0.6 ? mix(surface, blue, 0.22 + (share / 0.6) * 0.78) : mix(blue, strongest, (share - 0.6) / 0.4);
  });
}

function draw(ctx: CanvasRenderingContext2D, { panel, data, theme, width, height }: DrawingProps, cells: Cells, box: Box, ink: Ink): void {
  const { range, step } = data;
  drawTimes(ctx, range, box, ink);
  const colors = scale(ink, theme);
  const row = box.height / cells.buckets.length;
  const x = (time: number) => box.left + ((time - range.from) / (range.to - range.from)) * box.width;
  const gap = row > 4 && (box.width * step) / (range.to - range.from) > 4 ? 1 : 0;
  cells.counts.forEach((counts, i) => {
    const top = Math.round(box.top + box.height - (i + 1) * row);
    const bottom = Math.round(box.top + box.height - i * row);
    counts.forEach((count, k) => {
      const at = shade(count, cells.most);
      if (at === undefined) return;
      // A rate is of the time before its sample.
      const left = Math.max(box.left, Math.round(x(cells.times[k]! - step)));
      const right = Math.min(box.left + box.width, Math.round(x(cells.times[k]!)));
      if (right <= left) return;
      ctx.fillStyle = colors[Math.round(at * 63)]!;
      ctx.fillRect(left, top, Math.max(1, right - left - gap), Math.max(1, bottom - top - gap));
    });
  });
  ctx.font = font;
  ctx.fillStyle = ink("--dim");
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  const every = Math.max(1, Math.ceil(14 / row));
  labels(cells, panel.unit).forEach((label, i) => {
    if ((i + 1) % every === 0 || cells.buckets.length === 1) ctx.fillText(label, box.left - 6, box.top + box.height - (i + 1) * row);
  });
  drawScale(ctx, colors, cells.most, box.left, height - scaleHeight, Math.min(180, width - box.left - 90), ink);
}

function drawScale(ctx: CanvasRenderingContext2D, colors: readonly string[], most: number, left: number, top: number, width: number, ink: Ink): void {
  const y = top + scaleHeight / 2 + 1;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  ctx.fillStyle = ink("--dim");
  ctx.fillText("0", left, y);
  colors.forEach((color, i) => {
    ctx.fillStyle = color;
    ctx.fillRect(left + 12 + (i * width) / 64, y - 4, width / 64 + 0.5, 8);
  });
  ctx.fillStyle = ink("--dim");
  ctx.fillText(format(most, "short"), left + 18 + width, y);
}

function bounds(bucket: Bucket, unit?: string): string {
  const { low, high } = bucket;
  if (high === Infinity) return t.charts.above(format(low, unit));
  return low === -Infinity ? t.charts.upTo(format(high, unit)) : t.charts.range(format(low, unit), format(high, unit));
}

function inspect({ panel, data, theme }: DrawingProps, cells: Cells, box: Box, ink: Ink, at: number, y: number): Content | undefined {
  const row = box.height / cells.buckets.length;
  const i = Math.max(0, Math.min(cells.buckets.length - 1, Math.floor((box.height - y) / row)));
  const k = nearest(cells.times, at + data.step / 2);
  if (k < 0) return undefined;
  const count = cells.counts[i]![k] ?? null;
  const time = cells.times[k]!;
  const color = scale(ink, theme)[Math.round((shade(count, cells.most) ?? 0) * 63)]!;
  const left = Math.max(data.range.from, time - data.step / 2);
  return {
    time: Math.min(left, data.range.to),
    head: stamp(time),
    rows: [{ color, sample: "block", name: bounds(cells.buckets[i]!, panel.unit), value: count === null ? t.charts.missing : format(count, "short"), marked: true }],
    dot: { x: ((left - data.range.from) / (data.range.to - data.range.from)) * box.width, y: box.height - (i + 0.5) * row, color },
  };
}

function summary({ panel, data }: DrawingProps, cells: Cells): string {
  const last = cells.times.length - 1;
  const filled = cells.buckets.flatMap((b, i) => {
    const count = cells.counts[i]![last] ?? null;
    return count !== null && count > 1e-9 ? [{ b, count }] : [];
  }).sort((a, b) => b.count - a.count);
  const values = filled.slice(0, 3).map(({ b, count }) => `${bounds(b, panel.unit)} ${format(count, "short")}`);
  const range = t.charts.range(stamp(data.range.from), stamp(data.range.to));
  return t.charts.summary({ title: panel.title, what: t.charts.buckets(cells.buckets.length), range, values, more: filled.length - values.length });
}

export const heatmap: Drawing = {
  component: Heatmap,
  rows(panel, data) {
    const cells = cellsOf(data.answers.flat(), data.step);
    return tableOf(cells.times, cells.buckets.map((b) => bounds(b, panel.unit)), cells.counts);
  },
  paint(ctx, props) {
    const cells = cellsOf(props.data.answers.flat(), props.data.step);
    if (some(cells)) draw(ctx, props, cells, boxOf(props, cells), inks());
  },
};
