// Keeps a panel's data up to date while it is in sight.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Panel } from "../model/dashboard";
import type { PanelData } from "../model/panel";
import { asFailure, type QueryError } from "../prometheus/failure";
import { variablesIn } from "../prometheus/template";
import type { Board, Round } from "./board";
import { load } from "./load";
import { decided } from "./variables";
import type { NoDataReason } from "./why";

export interface Shown {
  data?: PanelData;
  /** Of the round that data belong to. */
  key?: string;
  /** When data came, milliseconds. */
  at?: number;
  loading: boolean;
  failure?: QueryError;
  warnings: string[];
}

const nothing: Shown = { loading: false, warnings: [] };

/** The panel's data of the newest round; asks when the panel is in sight and its data are of an older one. */
export function usePanelData(panel: Panel, board: Board, visible: boolean, width: number): Shown {
  const [shown, set] = useState<Shown>(nothing);
  const loaded = useRef<Round | undefined>(undefined);
  const { round } = board;
  const ready = isReady(panel, round) && board.settings?.prometheus.available !== false;
  useLayoutEffect(() => {
    if (!visible || !ready || loaded.current === round) return;
    const abort = new AbortController();
    const end = board.busy.begin();
    set((s) => ({ ...s, loading: true }));
    load(panel, round, width, abort.signal).then(
      ({ data, warnings }) => {
        end();
        if (abort.signal.aborted) return;
        loaded.current = round;
        set({ data, key: round.key, at: Date.now(), loading: false, warnings });
      },
      (thrown: unknown) => {
        end();
        if (abort.signal.aborted) return;
        loaded.current = round;
        const failure = asFailure(thrown);
        // Data of other variables or another range would be taken for this one's.
        set((s) => (s.key === round.key ? { ...s, loading: false, failure } : { loading: false, failure, warnings: [] }));
      },
    );
    return () => {
      end();
      if (loaded.current === round) return;
      abort.abort();
      set((s) => (s.loading ? { ...s, loading: false } : s)); // it may have left the sight
    };
  }, [panel, round, visible, ready]);
  return shown;
}

/** Whether all variables that a panel needs stand for something. */
export function isReady(panel: Panel, round: Round): boolean {
  const undecided = round.chosen.filter((c) => !decided(c)).map((c) => c.variable.name);
  return undecided.length === 0 || !(panel.queries ?? []).some((q) => variablesIn(q.expr).some((n) => undecided.includes(n)));
}

/** Whether no answer has a point. */
export function isEmpty(data: PanelData): boolean {
  return data.answers.every((a) => a.every((s) => s.values.length === 0));
}

/** Why a panel without data has none; undefined until it is known. */
export function useWhy(panel: Panel, board: Board, empty: boolean): NoDataReason | undefined {
  const [told, set] = useState<NoDataReason | undefined>();
  const latest = useRef(board);
  latest.current = board;
  const missing = board.chosen.flatMap((c) => c.missing).join();
  useEffect(() => {
    if (!empty) {
      set(undefined);
      return;
    }
    let here = true;
    // Most panels have data: what explains the others is loaded with the first of them.
    void import("./why")
      .then((m) => m.why((panel.queries ?? []).map((q) => q.expr), latest.current.round, latest.current.chosen))
      .then(
        (r) => here && set(r),
        () => {},
      );
    return () => {
      here = false;
    };
  }, [panel, empty, board.round.key, missing]);
  return empty ? told : undefined;
}
