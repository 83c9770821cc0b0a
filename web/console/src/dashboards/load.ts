// A panel's data for one refresh.
import type { Panel } from "../model/dashboard";
import type { PanelData, Series } from "../model/panel";
import type { Answer } from "../prometheus/answer";
import { instant, overTime } from "../prometheus/client";
import { asFailure } from "../prometheus/failure";
import { stepOf } from "../prometheus/step";
import { fill } from "../prometheus/template";
import { t } from "../texts";
import type { Round } from "./board";

export interface Loaded {
  data: PanelData;
  warnings: string[];
}

/** The queries of a panel with variables filled in. */
export function queriesOf(panel: Panel, round: Round, width: number): { expr: string; instant: boolean; step: number }[] {
  const step = stepOf(round.range, panel.kind === "stat" ? width / 2 : width, panel.minStep);
  return (panel.queries ?? []).map((q) => ({ expr: fill(q.expr, round.values, round.range.to - round.range.from, step), instant: !!q.instant, step }));
}

/** Asks all queries of a panel. If some fail, the others' answers count and a warning says so; if all fail, throws the first error. */
export async function load(panel: Panel, round: Round, width: number, signal: AbortSignal): Promise<Loaded> {
  const queries = queriesOf(panel, round, width);
  const results = await Promise.allSettled(
    queries.map((q) => (q.instant ? instant(q.expr, round.range.to, signal) : overTime(q.expr, round.range, q.step, signal))),
  );
  if (signal.aborted) throw signal.reason as Error;
  const warnings = new Set<string>();
  const answers: Series[][] = [];
  let answered = 0;
  results.forEach((r, i) => {
    if (r.status === "fulfilled") {
      answered++;
      answers.push(r.value.series);
      for (const w of tell(r.value)) warnings.add(w);
      return;
    }
    answers.push([]);
    warnings.add(t.shell.queryFailed(String.fromCharCode(65 + i), asFailure(r.reason).message));
  });
  const failed = results.find((r) => r.status === "rejected");
  if (failed && answered === 0) throw asFailure(failed.reason);
  const step = queries[0]?.step ?? stepOf(round.range, width, panel.minStep);
  return { data: { answers, range: round.range, step, marks: [] }, warnings: [...warnings] };
}

function tell(a: Answer): string[] {
  const told = a.warnings.map((w) => (/truncated due to limit/.test(w) ? t.shell.limited(a.series.length) : t.shell.warning(w)));
  if (a.cut) told.push(t.shell.bytesCut(a.series.length));
  else if (a.of !== undefined) told.push(t.shell.seriesCut(a.series.length, a.of));
  return told;
}
