// The picture of a time series panel, by uPlot.
import uPlot from "uplot";
import { formatAxis } from "../format";
import type { Panel } from "../model/dashboard";
import type { Range } from "../model/panel";
import { faint, font, textWidth, type Ink } from "./ink";
import type { Line, Lines } from "./lines";
import type { MarkGroup } from "./marks";
import { runs } from "./stack";
import type { Box } from "./surface";
import { date, fitting, ticksIn, valueTicks } from "./ticks";
import { valueRange } from "./valuerange";

export interface Picture {
  panel: Panel;
  lines: Lines;
  range: Range;
  marks: MarkGroup[];
  width: number;
  height: number;
}

/** Draws pictures into an element, or for paint() into none. */
export class Plot {
  #u: uPlot | undefined;
  #kind = "";
  #picture!: Picture;
  #ink!: Ink;

  constructor(private readonly into: HTMLElement | undefined) {}

  /** Draws now, or with the next microtask. A chart is made anew only where series or colours differ. */
  draw(picture: Picture, ink: Ink): void {
    this.#picture = picture;
    this.#ink = ink;
    const { panel, lines, width, height } = picture;
    const kind = JSON.stringify([panel.id, panel.unit, lines.lines.map((l) => [l.look, ink(l.color), l.shown]), ink("--grid"), dated(picture.range)]);
    const data = [lines.times, ...lines.lines.map((l) => l.drawn)] as uPlot.AlignedData;
    if (this.#u && kind === this.#kind) {
      const u = this.#u;
      u.batch(() => {
        if (u.width !== width || u.height !== height) u.setSize({ width, height });
        u.setData(data);
      });
      return;
    }
    this.#u?.destroy();
    this.#kind = kind;
    this.#u = new uPlot(this.#options(), data, this.into ?? ((_, begin) => (begin as () => void)()));
    this.#u.batch(() => undefined); // draws at once
  }

  get canvas(): HTMLCanvasElement {
    return this.#u!.ctx.canvas;
  }

  /** The plotting area, CSS pixels. */
  get box(): Box {
    const { left, top, width, height } = this.#u!.bbox;
    const ratio = uPlot.pxRatio;
    return { left: left / ratio, top: top / ratio, width: width / ratio, height: height / ratio };
  }

  /** The height of a value within the plotting area, CSS pixels. */
  y = (value: number) => this.#u!.valToPos(value, "y");
  value = (y: number) => this.#u!.posToVal(y, "y");

  destroy(): void {
    this.#u?.destroy();
    this.#u = undefined;
  }

  #options(): uPlot.Options {
    const { panel, lines, range, width, height } = this.#picture;
    const ink = this.#ink;
    const axis = { stroke: ink("--dim"), font, ticks: { show: false }, border: { show: false }, grid: { stroke: ink("--grid"), width: 1 } };
    const { unit, decimals } = panel;
    return {
      width,
      height,
      padding: [8, 14, 0, 0],
      cursor: { show: false },
      legend: { show: false },
      select: { show: false, left: 0, top: 0, width: 0, height: 0 },
      scales: {
        x: { time: true, range: () => [this.#picture.range.from, this.#picture.range.to] },
        y: { range: (_, low, high) => valueRange(panel, this.#picture.lines.lines, low, high) },
      },
      axes: [
        {
          ...axis,
          size: dated(range) ? 36 : 22,
          gap: 4,
          splits: (u) => this.#ticks(u).map((tick) => tick.time),
          values: (u) => this.#ticks(u).map((tick) => (tick.day ? `${tick.label}\n${tick.day}` : tick.label)),
        },
        {
          ...axis,
          gap: 6,
          size: (u, values, i, cycle) => (cycle > 1 ? (u.axes[i] as { _size?: number })._size! : Math.ceil(Math.max(24, ...(values ?? []).map(textWidth))) + 14),
          splits: (u, _i, min, max) => valueTicks(min, max, ticksIn(u.bbox.height / uPlot.pxRatio), unit, decimals),
          values: (_, splits) => formatAxis(splits, unit, decimals),
        },
      ],
      series: [{}, ...lines.lines.map((line) => this.#series(line))],
      hooks: {
        drawAxes: [(u) => this.#areas(u)],
        draw: [(u) => this.#over(u)],
      },
    };
  }

  #ticks(u: uPlot) {
    return fitting(this.#picture.range, u.bbox.width / uPlot.pxRatio, 14);
  }

  #series(line: Line): uPlot.Series {
    const { look } = line;
    const stroke = this.#ink(line.color);
    return {
      show: line.shown,
      stroke,
      width: look.width,
      ...(look.dash && { dash: look.dash }),
      ...(look.fill > 0 && !line.layer && { fill: faint(stroke, look.fill) }),
      ...(look.stepped && { paths: uPlot.paths.stepped!({ align: 1 }) }),
      // A hook of the line's own: a chart outlives the lines of one answer.
      points: { show: true, size: 5, stroke, fill: stroke, filter: (_, i) => this.#picture.lines.lines[i - 1]!.alone },
    };
  }

  /** Layers are drawn here, not by uPlot's bands: those leave out a layer where the one below has a gap. */
  #areas(u: uPlot): void {
    const { ctx } = u;
    const { times, lines } = this.#picture.lines;
    const x = (i: number) => u.valToPos(times[i]!, "x", true);
    const y = (v: number) => u.valToPos(v, "y", true);
    ctx.save();
    clip(u);
    for (const { layer, look, color, shown } of lines) {
      if (!layer || !shown || !look.fill) continue;
      ctx.fillStyle = faint(this.#ink(color), look.fill);
      ctx.beginPath();
      for (const [from, to] of runs(layer.top)) {
        const edge = (values: readonly (number | null)[], forward: boolean) => {
          for (let k = 0; k <= to - from; k++) {
            const i = forward ? from + k : to - k;
            const before = forward ? i - 1 : i + 1;
            if (look.stepped && k) ctx.lineTo(x(Math.max(i, before)), y(values[Math.min(i, before)]!));
            ctx[forward && !k ? "moveTo" : "lineTo"](x(i), y(values[i]!));
          }
        };
        edge(layer.top, true);
        edge(layer.bottom, false);
        ctx.closePath();
      }
      ctx.fill();
    }
    ctx.restore();
  }

  /** Thresholds and events. */
  #over(u: uPlot): void {
    const { ctx, bbox } = u;
    const { panel, marks } = this.#picture;
    const ratio = uPlot.pxRatio;
    ctx.save();
    clip(u);
    ctx.lineWidth = ratio;
    const thresholds = panel.thresholds ?? [];
    if (thresholds.length > 1) {
      ctx.setLineDash([8 * ratio, 6 * ratio]);
      for (const { from, color } of thresholds) {
        if (from === undefined) continue;
        const y = Math.round(u.valToPos(from, "y", true));
        ctx.strokeStyle = this.#ink(color);
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
      }
    }
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    const bottom = bbox.top + bbox.height;
    for (const { time, color } of marks) {
      const x = Math.round(u.valToPos(time, "x", true));
      ctx.strokeStyle = ctx.fillStyle = this.#ink(color);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bottom);
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(x - 5 * ratio, bottom);
      ctx.lineTo(x + 5 * ratio, bottom);
      ctx.lineTo(x, bottom - 7 * ratio);
      ctx.fill();
    }
    ctx.restore();
  }
}

const dated = (range: Range) => date(range.from) !== date(range.to);

function clip({ ctx, bbox }: uPlot): void {
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
}
