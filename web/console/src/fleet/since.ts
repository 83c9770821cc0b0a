// Times, relative to now.
import { t } from "../texts";

const steps: [number, string][] = [
  [60, "s"],
  [3600, "min"],
  [86_400, "h"],
  [365 * 86_400, "d"],
];
const sizes: Record<string, number> = { s: 1, min: 60, h: 3600, d: 86_400 };

/** A time of the API in milliseconds; undefined if it is absent, not a time, or the zero time. */
export function time(iso: string | undefined): number | undefined {
  if (iso === undefined) return undefined;
  const ms = Date.parse(iso);
  return Number.isNaN(ms) || ms <= 0 ? undefined : ms;
}

/** A duration in its largest two units: "45 s", "3 min", "2 h 5 min", "3 d 4 h". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  for (const [below, unit] of steps) {
    if (s >= below && unit !== "d") continue;
    const size = sizes[unit]!;
    const whole = Math.floor(s / size);
    const smaller = unit === "h" ? "min" : unit === "d" ? "h" : undefined;
    const rest = smaller === undefined ? 0 : Math.floor((s % size) / sizes[smaller]!);
    const text = `${whole} ${t.format.ages[unit]}`;
    return rest > 0 && whole < 10 ? `${text} ${rest} ${t.format.ages[smaller!]}` : text;
  }
  return "";
}

/** Seconds from a time to now. A time slightly ahead, of a clock that differs, is now. */
export function age(at: number, now: number): number {
  return Math.max(0, (now - at) / 1000);
}

/** Milliseconds until the text of duration() changes, for a clock that wakes no more often than needed. */
export function nextChange(seconds: number): number {
  return seconds < 60 ? 1000 : seconds < 3600 ? 10_000 : 60_000;
}

let format: Intl.DateTimeFormat | undefined; // making one costs a millisecond, and a list has hundreds of times

/** The absolute time in the viewer's zone and the console's language. */
export function absolute(ms: number): string {
  format ??= new Intl.DateTimeFormat(t.format.dates, { dateStyle: "medium", timeStyle: "medium" });
  return format.format(ms);
}
