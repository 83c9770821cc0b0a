// Asks why panels have no data. Panels with the same question share one answer for some minutes.
import type { Series } from "../model/panel";
import { instant } from "../prometheus/client";
import type { Round } from "./board";
import { gone, question, reason, type Reason } from "./nodata";

const kept = new Map<string, { at: number; answer: Promise<Series[]> }>();
const minutes = 5;

/** Why the expressions (variables not filled in) have no data; undefined if Prometheus can't tell. */
export async function why(exprs: readonly string[], round: Round): Promise<Reason | undefined> {
  const absent = gone(exprs, round.chosen);
  if (absent) return absent;
  const q = question(exprs, round.range.to - round.range.from);
  if (!q) return undefined;
  const key = `${q.expr} ${round.time.from} ${round.time.to}`;
  let known = kept.get(key);
  if (!known || known.at < Date.now() - minutes * 60_000) {
    known = { at: Date.now(), answer: instant(q.expr, round.range.to).then((a) => a.series) };
    kept.set(key, known);
    if (kept.size > 200) kept.delete(kept.keys().next().value!);
  }
  try {
    return reason(q, await known.answer, round.values);
  } catch {
    kept.delete(key);
    return undefined;
  }
}
