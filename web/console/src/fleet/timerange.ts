// The time range of a page's charts, which lives in the URL: range=3h, or from and to in milliseconds after a zoom.
import type { Range } from "../model/panel";

export const ranges: Record<string, number> = { "30m": 1800, "3h": 10_800, "24h": 86_400, "7d": 604_800 };
export const firstRange = "30m";

export interface Chosen {
  name: string;
  seconds: number;
  fixed?: Range;
}

export function rangeOf(query: URLSearchParams): Chosen {
  const from = Number(query.get("from") ?? NaN) / 1000;
  const to = Number(query.get("to") ?? NaN) / 1000;
  if (Number.isFinite(from) && Number.isFinite(to) && to - from >= 1) return { name: "", seconds: to - from, fixed: { from, to } };
  const asked = query.get("range") ?? "";
  const name = Object.hasOwn(ranges, asked) ? asked : firstRange;
  return { name, seconds: ranges[name]! };
}

export function setRange(query: URLSearchParams, name: string): void {
  query.delete("from");
  query.delete("to");
  if (name === firstRange) query.delete("range");
  else query.set("range", name);
}

export function setZoom(query: URLSearchParams, range: Range): void {
  query.set("from", String(Math.round(range.from * 1000)));
  query.set("to", String(Math.round(range.to * 1000)));
}
