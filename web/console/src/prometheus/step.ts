// How far apart the points of an answer are.
import type { Range } from "../model/panel";
import { parseDuration } from "./duration";

/** Seconds between two scrapes, as the server writes them into the page. */
const scrapeInterval = Number(globalThis.document?.querySelector<HTMLMetaElement>("meta[name=scrape-interval]")?.content ?? "") || 15;

const nice = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
const mostPoints = 11_000; // Prometheus refuses more: web/api/v1/api.go, "exceeded maximum resolution"
const pixelsPerPoint = 2;

/** Seconds between points for a drawing of a width in CSS pixels: a nice number, at most about a point per two pixels, never less than minStep. */
export function stepOf(range: Range, width: number, minStep?: string): number {
  const span = Math.max(1, range.to - range.from);
  const points = Math.min(mostPoints - 1, Math.max(25, width / pixelsPerPoint));
  const least = Math.max(span / points, parseDuration(minStep ?? "") ?? scrapeInterval);
  return nice.find((n) => n >= least - 1e-9) ?? Math.ceil(least / 604800) * 604800;
}

/** The window of a rate at a step: at least four scrapes, as Grafana's $__rate_interval. */
export function rateInterval(step: number): string {
  return Math.max(step + scrapeInterval, 4 * scrapeInterval) + "s";
}

/** The smallest step that Prometheus accepts for a range, at least the wished one. */
export function allowedStep(range: Range, wish: number): number {
  return Math.max(wish, Math.ceil((range.to - range.from) / (mostPoints - 1)));
}

/** Start and end on multiples of the step, so that points stay where they are from one refresh to the next. */
export function align(range: Range, step: number): Range {
  return { from: Math.floor(range.from / step) * step, to: Math.floor(range.to / step) * step };
}
