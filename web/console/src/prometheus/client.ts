// Asks the server's Prometheus.
import { request } from "../api/request";
import type { Range } from "../model/panel";
import { bounded, closed, decode, mostSeries, type Answer } from "./answer";
import { asFailure, failureOf, QueryError } from "./failure";
import { Queue } from "./queue";
import { align } from "./step";
import { t } from "../texts";

const api = "/prometheus/api/v1/";
const atOnce = 6;
const serverSeconds = 30;
const clientSeconds = 40; // after Prometheus' own time, so that its error is the one which is shown

const queue = new Queue<Answer>(atOnce);

/** Answers of the newest refresh, so that a panel that comes into sight doesn't ask what another has asked. */
let recent = new Map<string, Answer>();

/** Forgets the answers that are kept. Call it at each refresh. */
export function forget(): void {
  recent = new Map();
}

async function answer(path: string, form: URLSearchParams, signal: AbortSignal | undefined, most: number): Promise<Answer> {
  form.set("limit", String(most));
  const key = path + "?" + form.toString();
  const kept = recent.get(key);
  if (kept) return kept;
  const into = recent;
  const got = await queue.run(key, (s) => ask(path, form, s, most), signal);
  into.set(key, got);
  return got;
}

async function ask(path: string, form: URLSearchParams, signal: AbortSignal, most: number): Promise<Answer> {
  form.set("timeout", serverSeconds + "s");
  try {
    const response = await request(api + path, { method: "POST", body: form, signal: AbortSignal.any([signal, AbortSignal.timeout(clientSeconds * 1000)]) });
    const { text, cut } = await bounded(response);
    if (!response.ok) throw failureOf(response.status, text);
    if (!cut) return decode(parse(text), most);
    const whole = closed(text);
    if (whole === undefined) throw new QueryError(t.shell.failures.large, t.shell.failures.shorter);
    return { ...decode(parse(whole), most), cut: true };
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    throw asFailure(thrown);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new QueryError(t.shell.failures.notJSON, t.shell.failures.unavailable);
  }
}

/** The newest value of each series at a time, in seconds since the epoch, of at most so many series. */
export function instant(expr: string, time: number, signal?: AbortSignal, most = mostSeries): Promise<Answer> {
  return answer("query", new URLSearchParams({ query: expr, time: String(Math.round(time)) }), signal, most);
}

/** The values of each series in a range, a point for each step of seconds, of at most so many series. */
export function overTime(expr: string, range: Range, step: number, signal?: AbortSignal, most = mostSeries): Promise<Answer> {
  const { from, to } = align(range, step);
  return answer("query_range", new URLSearchParams({ query: expr, start: String(from), end: String(to), step: String(step) }), signal, most);
}

/** The values of a label in the series that a selector matches in a range, sorted. */
export async function labelValues(selector: string | undefined, label: string, range: Range, signal?: AbortSignal): Promise<string[]> {
  const query = new URLSearchParams({ start: String(Math.floor(range.from)), end: String(Math.ceil(range.to)) });
  if (selector) query.set("match[]", selector);
  try {
    const limit = AbortSignal.timeout(clientSeconds * 1000);
    const response = await request(`${api}label/${encodeURIComponent(label)}/values?${query}`, { signal: signal ? AbortSignal.any([signal, limit]) : limit });
    const { text } = await bounded(response);
    if (!response.ok) throw failureOf(response.status, text);
    const { data } = parse(text) as { data?: unknown };
    return Array.isArray(data) ? data.map(String).sort((a, b) => a.localeCompare(b, undefined, { numeric: true })) : [];
  } catch (thrown) {
    if (signal?.aborted) throw thrown;
    throw asFailure(thrown);
  }
}
