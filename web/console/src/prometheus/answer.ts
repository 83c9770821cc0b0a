// Reads Prometheus' answers, bounded.
import type { Labels, Series } from "../model/panel";

export interface Answer {
  series: Series[];
  /** What Prometheus warns of, and what was left out here. */
  warnings: string[];
  /** How many series the answer had, if some were left out. */
  of?: number;
  /** The answer was larger than mostBytes, and only its beginning was read. */
  cut?: boolean;
}

export const mostSeries = 1000;
const mostBytes = 20 << 20;

interface Doc {
  status?: string;
  data?: { resultType?: string; result?: unknown };
  warnings?: unknown;
  infos?: unknown;
}

type Point = [number, string];

/** A sample's value; Prometheus writes NaN, +Inf and -Inf as words. */
export function sample(text: string): number {
  if (text === "+Inf") return Infinity;
  if (text === "-Inf") return -Infinity;
  return Number(text);
}

/** The series of an answer to a query, at most so many of them. Throws if it isn't one. */
export function decode(doc: unknown, most = mostSeries): Answer {
  const { data, warnings } = (doc ?? {}) as Doc;
  const result = data?.result;
  if (!data || !Array.isArray(result)) throw new Error("the answer has no result");
  const told = Array.isArray(warnings) ? warnings.map(String) : [];
  if (data.resultType === "scalar" || data.resultType === "string") {
    const [time, value] = result as Point;
    return { series: [{ labels: {}, times: [time], values: [sample(value)] }], warnings: told };
  }
  const kept = result.length > most ? result.slice(0, most) : result;
  const series = (kept as { metric?: Labels; value?: Point; values?: Point[] }[]).map((s) => {
    const points = s.values ?? (s.value ? [s.value] : []); // native histograms have neither
    const times = new Array<number>(points.length);
    const values = new Array<number>(points.length);
    points.forEach((p, i) => {
      times[i] = p[0];
      values[i] = sample(p[1]);
    });
    return { labels: s.metric ?? {}, times, values };
  });
  return result.length > most ? { series, warnings: told, of: result.length } : { series, warnings: told };
}

/** A truncated answer, closed after its last whole series; undefined if there is none. */
export function closed(text: string): string | undefined {
  for (const end of [']]},{"metric":', ']},{"metric":']) {
    const at = text.lastIndexOf(end);
    if (at > 0) return text.slice(0, at + end.indexOf("}") + 1) + "]}}";
  }
  return undefined;
}

/** Reads a body up to a limit of bytes; cut says that there was more. */
export async function bounded(response: Response, limit = mostBytes): Promise<{ text: string; cut: boolean }> {
  if (!response.body) return { text: await response.text(), cut: false };
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const parts: string[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    parts.push(decoder.decode(value, { stream: true }));
    if (size > limit) {
      void reader.cancel().catch(() => {});
      return { text: parts.join(""), cut: true };
    }
  }
  return { text: parts.join("") + decoder.decode(), cut: false };
}
