// Time ranges as the URL has them, in Grafana's words: now-30m, now, or milliseconds since the epoch.
import type { Range } from "../model/panel";
import { formatDuration, parseDuration } from "../prometheus/duration";

export interface TimeRange {
  from: string;
  to: string;
}

export const quickRanges = ["now-5m", "now-15m", "now-30m", "now-1h", "now-3h", "now-6h", "now-12h", "now-24h", "now-2d", "now-7d"];
export const refreshes = ["off", "5s", "10s", "30s", "1m", "5m"];

/** Seconds since the epoch of one end of a range; undefined if it is no time. */
export function parseTime(text: string, now: number): number | undefined {
  const relative = /^now(?:([-+])(\S+))?$/.exec(text.trim());
  if (relative) {
    if (!relative[1]) return now;
    const d = parseDuration(relative[2]!);
    return d === undefined ? undefined : relative[1] === "-" ? now - d : now + d;
  }
  if (/^\d{9,}$/.test(text)) return Number(text) / (text.length > 10 ? 1000 : 1);
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return undefined;
  const t = Date.parse(text);
  return Number.isNaN(t) ? undefined : t / 1000;
}

/** The last second of the year 9999: dates have no text far beyond it. */
const lastSecond = 253_402_300_799;

/** Whether a time can be asked for; 0 is 1970. */
function within(time: number | undefined): time is number {
  return time !== undefined && time >= 0 && time <= lastSecond;
}

/** The range of a URL's query; what is no time is as the dashboard says. */
export function rangeOf(query: URLSearchParams, otherwise: string): TimeRange {
  const from = query.get("from") ?? otherwise;
  const to = query.get("to") ?? "now";
  const a = parseTime(from, 2e9);
  const b = parseTime(to, 2e9);
  if (within(a) && within(b) && (a < b || isRelative({ from, to: from }) !== isRelative({ from: to, to }))) return { from, to };
  return { from: otherwise, to: "now" };
}

export function isRelative(range: TimeRange): boolean {
  return range.from.startsWith("now") || range.to.startsWith("now");
}

/** Seconds since the epoch, at least one second. */
export function resolve(range: TimeRange, now: number): Range {
  const to = parseTime(range.to, now) ?? now;
  const from = parseTime(range.from, now) ?? to - 1800;
  return from < to ? { from, to } : { from: to - 1, to };
}

/** The URL's words for a range in seconds. */
export function absolute(range: Range): TimeRange {
  const from = Math.round(range.from * 1000);
  return { from: String(from), to: String(Math.max(from + 1000, Math.round(range.to * 1000))) };
}

/** Half a range earlier (-1) or later (1), never later than now. */
export function shifted(range: Range, direction: -1 | 1, now: number): TimeRange {
  const span = range.to - range.from;
  const to = Math.min(now, range.to + (direction * span) / 2);
  return absolute({ from: to - span, to });
}

/** Twice as long around the same middle, never later than now. */
export function widened(range: Range, now: number): TimeRange {
  const span = range.to - range.from;
  const to = Math.min(Math.max(now, range.to), range.to + span / 2);
  return absolute({ from: to - 2 * span, to });
}

/** A range relative to now: how long it is, such as "30m"; undefined for others. */
export function lastOf(range: TimeRange): string | undefined {
  return range.to === "now" && range.from.startsWith("now-") ? range.from.slice(4) : undefined;
}

/** The value of a datetime-local input, in the viewer's zone. */
export function localInput(seconds: number): string {
  const d = new Date(Math.round(seconds) * 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** Seconds between two refreshes; undefined: none. */
export function refreshOf(query: URLSearchParams, otherwise: string): { text: string; seconds?: number } {
  const text = query.get("refresh") ?? otherwise;
  const seconds = parseDuration(text);
  return seconds === undefined ? { text: "off" } : { text, seconds: Math.max(5, seconds) };
}

/** How long a range is, for Prometheus' page. */
export function lengthOf(range: Range): string {
  return formatDuration(range.to - range.from);
}
