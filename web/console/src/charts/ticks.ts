// Places and labels of a time axis, in the viewer's zone, and how times are written.
import type { Range } from "../model/panel";

interface Tick {
  time: number; // seconds
  label: string;
  /** The day, at the first tick of one; empty where the axis needs none. */
  day: string;
}

const minute = 60;
const hour = 3600;
const day = 86400;
const steps = [1, 2, 5, 10, 15, 30, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute, hour, 2 * hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 7 * day, 14 * day, 30 * day, 90 * day, 365 * day];

const two = (n: number) => String(n).padStart(2, "0");
const startOfDay = (d: Date) => new Date(d.getFullYear(), d.getMonth(), d.getDate());

/** "14:05", or with seconds "14:05:30". */
export function clock(t: number, seconds = false): string {
  const d = new Date(t * 1000);
  return `${two(d.getHours())}:${two(d.getMinutes())}` + (seconds ? `:${two(d.getSeconds())}` : "");
}

/** "2026-11-30". */
export function date(t: number): string {
  const d = new Date(t * 1000);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

/** "2026-11-30 14:05:30". */
export const stamp = (t: number) => `${date(t)} ${clock(t, true)}`;

/** The ticks of a range, at least `space` pixels apart on `width` pixels. Days begin at local midnight, also where clocks change. */
export function timeTicks(range: Range, width: number, space = 80): Tick[] {
  const least = ((range.to - range.from) * space) / Math.max(width, 1);
  const step = steps.find((s) => s >= least) ?? Math.ceil(least / (365 * day)) * 365 * day;
  const times: number[] = [];
  if (step < hour) {
    const offset = new Date(range.from * 1000).getTimezoneOffset() * -minute;
    for (let t = Math.ceil((range.from + offset) / step) * step - offset; t <= range.to; t += step) times.push(t);
  } else {
    const at = startOfDay(new Date(range.from * 1000));
    if (step > day) at.setDate(at.getDate() - (Math.round(at.getTime() / 1000 / day) % (step / day)));
    const [days, hours] = [Math.floor(step / day), (step % day) / hour];
    for (let i = 0; ; i++) {
      const t = new Date(at.getFullYear(), at.getMonth(), at.getDate() + i * days, i * hours).getTime() / 1000;
      if (t > range.to) break;
      if (t >= range.from && t > (times.at(-1) ?? -Infinity)) times.push(t);
    }
  }
  const dated = date(range.from) !== date(range.to);
  let before = "";
  return times.map((t) => {
    const here = date(t);
    const named = dated && here !== before ? here.slice(5) : "";
    before = here;
    if (step >= day) return { time: t, label: step >= 90 * day ? here.slice(0, 7) : here.slice(5), day: "" };
    return { time: t, label: clock(t, step < minute), day: named };
  });
}

/** The ticks with labels that end at most `margin` pixels right of the axis. */
export function fitting(range: Range, width: number, margin: number): Tick[] {
  return timeTicks(range, width).filter((tick) => ((range.to - tick.time) / (range.to - range.from)) * width + margin >= tick.label.length * 3);
}

/** How many values an axis of a height in pixels has about: fewer per pixel the higher it is. */
export const ticksIn = (height: number) => Math.min(height / 28, 3 + height / 75);

/** The ticks of a value axis: round in the unit, at most about `most`. */
export function valueTicks(min: number, max: number, most: number, unit?: string, decimals?: number): number[] {
  if (!(max > min)) return [];
  const step = valueStep((max - min) / Math.max(most, 1), unit, decimals);
  const list: number[] = [];
  for (let i = Math.ceil(min / step - 1e-9); i * step <= max + step * 1e-9; i++) list.push(Number((i * step).toPrecision(12)));
  return list;
}

function valueStep(least: number, unit?: string, decimals?: number): number {
  const finest = unit === "bool" ? 1 : decimals === undefined ? 0 : 10 ** -decimals / (unit === "percentunit" ? 100 : 1);
  const at = Math.max(least, finest);
  if (unit === "s" && at > 30) return steps.find((s) => s >= at) ?? decimal(at / day) * day;
  if ((unit === "bytes" || unit === "binBps") && at > 1) return 2 ** Math.ceil(Math.log2(at));
  return decimal(at, finest, unit === "percentunit" ? 0.01 : 10);
}

/** Quarters are for powers from `quarters` on: counts have no halves. */
function decimal(least: number, finest = 0, quarters = 10): number {
  const power = 10 ** Math.floor(Math.log10(least) + 1e-9);
  const factor = [1, 2, 2.5, 5].find((f) => f * power >= least * (1 - 1e-9) && (f !== 2.5 || (power > finest && power >= quarters * (1 - 1e-9)))) ?? 10;
  return factor * power;
}
