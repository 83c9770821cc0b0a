// Queries of lists and pages: one for each metric over all rows, whose series are told apart by their labels.
import { useEffect, useState } from "preact/hooks";
import { serverNow } from "../api/clock";
import type { Labels, Range, Series } from "../model/panel";
import { forget, instant, overTime } from "../prometheus/client";

const mostRows = 10_000; // series of a query; a list has one for each row

async function ask(expr: string, range: Range, step: number, now: boolean, signal: AbortSignal): Promise<Series[]> {
  const { series } = await (now ? instant(expr, range.to, signal, mostRows) : overTime(expr, range, step, signal, mostRows));
  return series;
}

export interface Asked {
  /** The newest good answers, one for each expression; undefined before the first. */
  answers?: Series[][];
  range: Range;
  step: number;
  error?: Error;
}

const every = 30_000; // ms between refreshes

/**
 * Asks expressions again and again while the tab is visible: over a range of seconds that ends now (or a fixed range), or their
 * values now where seconds is 0. An empty list asks nothing.
 */
export function useMetrics(expressions: readonly string[], seconds: number, points = 30, fixed?: Range): Asked {
  const [asked, set] = useState<Asked>({ range: { from: 0, to: 0 }, step: 60 });
  const key = expressions.join("\n");
  useEffect(() => {
    if (expressions.length === 0) return;
    let abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    const round = async () => {
      clearTimeout(timer);
      if (document.hidden || ended) return;
      const now = serverNow() / 1000;
      const { range, step } = rangeAt(now, seconds, points, fixed);
      forget();
      abort.abort();
      const mine = (abort = new AbortController());
      try {
        const answers = await Promise.all(expressions.map((e) => ask(e, seconds === 0 ? { from: now, to: now } : range, step, seconds === 0, mine.signal)));
        if (!ended) set({ answers, range, step });
      } catch (error) {
        if (ended || mine.signal.aborted) return;
        set((before) => ({ ...before, error: error instanceof Error ? error : new Error(String(error)) }));
      }
      if (!ended && !fixed) timer = setTimeout(() => void round(), every);
    };
    const seen = () => void round();
    document.addEventListener("visibilitychange", seen);
    void round();
    return () => {
      ended = true;
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [key, seconds, points, fixed?.from, fixed?.to]);
  return asked;
}

/** Points of the sparklines of a list: fewer where it is long, because every row has its own. */
export function sparkPoints(rows: number): number {
  return rows > 200 ? 30 : 60;
}

/** A range that ends at a whole step, so that Prometheus and the picture don't shift by fractions. */
export function rangeAt(now: number, seconds: number, points: number, fixed?: Range): { range: Range; step: number } {
  const length = fixed ? fixed.to - fixed.from : seconds;
  const step = niceStep(length / points);
  const to = Math.floor((fixed ? fixed.to : now) / step) * step;
  const from = Math.floor((fixed ? fixed.from : to - seconds) / step) * step;
  return { range: { from, to }, step };
}

function niceStep(seconds: number): number {
  return [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200].find((s) => s >= seconds) ?? 86_400;
}

/** Series by the values of labels, for rows to find theirs. */
export function byLabels(series: readonly Series[] | undefined, ...names: string[]): Map<string, Series> {
  const found = new Map<string, Series>();
  for (const s of series ?? []) found.set(joinLabels(s.labels, names), s);
  return found;
}

function joinLabels(labels: Labels, names: readonly string[]): string {
  return joined(...names.map((n) => labels[n] ?? ""));
}

/** One key of several names, which may hold any character. */
export function joined(...names: string[]): string {
  return JSON.stringify(names);
}
