// Names and colours below a chart. A click shows one series alone; with Ctrl, Cmd or Space it adds or removes one.
import { t } from "../texts";
import { afterClick } from "./lines";
import { cut } from "../format/cut";
import { font, textWidth } from "./ink";
import { px } from "./surface";

export interface Entry {
  name: string;
  color: string; // as the canvas takes it
  dashed: boolean;
  shown: boolean;
}

export const lineHeight = 20;
const gap = 12;
const key = 20; // the sample of the line and its distance
const widest = 340;

/** Puts entries of the given widths into lines of a width. */
export function wrap(widths: readonly number[], width: number): number[][] {
  const lines: number[][] = [];
  let at = Infinity;
  widths.forEach((w, i) => {
    if (at + gap + w > width) {
      lines.push([]);
      at = -gap;
    }
    lines.at(-1)!.push(i);
    at += gap + w;
  });
  return lines;
}

const entryWidth = (name: string) => Math.min(widest, Math.ceil(textWidth(name)) + key + 1);

/** The height that the legend takes of a panel's; it scrolls where it needs more. */
export function legendHeight(names: readonly string[], width: number, height: number, full: boolean): number {
  const lines = wrap(names.map(entryWidth), width - 8).length;
  const room = Math.max(1, Math.floor((height * (full ? 0.4 : 0.3)) / lineHeight));
  return Math.min(lines, room) * lineHeight;
}

interface Props {
  entries: readonly Entry[];
  height: number;
  /** Absent: the entries cannot be chosen. */
  choose?: { hidden: ReadonlySet<string>; set(names: ReadonlySet<string>): void };
}

export function Legend({ entries, height, choose }: Props) {
  const names = entries.map((e) => e.name);
  if (!choose) {
    return (
      <div class="chart-legend" style={{ height: px(height) }}>
        {entries.map((e) => (
          <span key={e.name} class="chart-entry">
            <i class="chart-key block" style={{ color: e.color }} />
            <span>{e.name}</span>
          </span>
        ))}
      </div>
    );
  }
  const click = (name: string, toggle: boolean) => choose.set(afterClick(names, choose.hidden, name, toggle));
  return (
    <div class="chart-legend" style={{ height: px(height) }} role="group" aria-label={t.charts.legend}>
      {entries.map((e, i) => (
        <button
          key={i}
          type="button"
          class="chart-entry"
          aria-pressed={e.shown}
          title={e.name}
          onClick={(event) => click(e.name, event.ctrlKey || event.metaKey)}
          onKeyDown={(event) => {
            if (event.key !== " ") return;
            event.preventDefault(); // otherwise a click follows
            click(e.name, true);
          }}
        >
          <i class={e.dashed ? "chart-key dashed" : "chart-key"} style={{ color: e.color }} />
          <span>{e.name}</span>
        </button>
      ))}
    </div>
  );
}

/** Draws the legend's shown entries, as far as they fit. */
export function paintLegend(ctx: CanvasRenderingContext2D, entries: readonly Entry[], left: number, top: number, width: number, height: number, text: string): void {
  const shown = entries.filter((e) => e.shown);
  ctx.save();
  ctx.font = font;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  wrap(shown.map((e) => entryWidth(e.name)), width).slice(0, Math.floor(height / lineHeight)).forEach((line, row) => {
    let x = left;
    const y = top + (row + 0.5) * lineHeight;
    for (const i of line) {
      const e = shown[i]!;
      ctx.strokeStyle = e.color;
      ctx.lineWidth = 3;
      ctx.setLineDash(e.dashed ? [5, 3] : []);
      ctx.beginPath();
      ctx.moveTo(x, y);
      ctx.lineTo(x + 14, y);
      ctx.stroke();
      ctx.fillStyle = text;
      ctx.fillText(cut(e.name, widest - key, textWidth), x + key, y);
      x += entryWidth(e.name) + gap;
    }
  });
  ctx.restore();
}
