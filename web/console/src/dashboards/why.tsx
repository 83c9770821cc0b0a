// Asks why panels have no data, and explains it. Loaded with the first of them.
// Panels with the same question share one answer for some minutes.
import type { ComponentType } from "preact";
import type { Series } from "../model/panel";
import { instant } from "../prometheus/client";
import { t } from "../texts";
import type { Board, Round } from "./board";
import { doctorLink } from "./doctorlink";
import { gone, question, reason, type Reason } from "./nodata";
import { clock } from "./timepicker";
import type { Chosen } from "./variables";

const text = t.shell;

/** Why a panel has no data, ready to be shown. */
export interface NoDataReason {
  /** Absent: Prometheus can't tell. */
  reason?: Reason;
  /** Instead of the panel's own words for no data. */
  headline?: string;
  /** The doctor's page about the panel's metric and what is chosen. */
  doctor: string;
  Explanation: ComponentType<{ told: NoDataReason; board: Board }>;
}

const kept = new Map<string, { at: number; answer: Promise<Series[]> }>();
const minutes = 5;

/** Why the expressions (variables not filled in) have no data. */
export async function why(exprs: readonly string[], round: Round, chosen: readonly Chosen[]): Promise<NoDataReason> {
  const reason = gone(exprs, chosen) ?? (await find(exprs, round));
  return { doctor: doctorLink(exprs, chosen), Explanation, ...(reason && { reason }), ...(reason?.kind === "gone" && { headline: text.goneShort(reason.label, reason.values) }) };
}

async function find(exprs: readonly string[], round: Round): Promise<Reason | undefined> {
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

function Explanation({ told, board }: { told: NoDataReason; board: Board }) {
  return (
    <>
      {told.reason && <Words reason={told.reason} board={board} />} <a href={told.doctor}>{text.findOut}</a>
    </>
  );
}

function Words({ reason, board }: { reason: Reason; board: Board }) {
  switch (reason.kind) {
    case "never":
      return (
        <>
          {text.never(reason.metric)} <a href="/d/stackscope-engines">{text.neverLink}</a>
        </>
      );
    case "earlier": {
      const half = (board.round.range.to - board.round.range.from) / 2;
      return (
        <>
          {text.earlierData(reason.metric, clock(reason.last))}{" "}
          <button type="button" onClick={() => board.zoom({ from: reason.last - half, to: reason.last + half })}>
            {text.showThen}
          </button>
        </>
      );
    }
    case "others": {
      const label = board.round.chosen.find((c) => c.variable.name === reason.variable)?.variable.label ?? reason.variable;
      return <>{text.others(label, reason.values, reason.metric, reason.others)}</>;
    }
    case "gone":
      return <>{text.goneOthers(reason.options)}</>;
    case "empty":
      return <>{text.empty(reason.metrics)}</>;
  }
}
