// What all panels of a dashboard's page share.
import type { Settings } from "../api/types";
import type { Mark, Range } from "../model/panel";
import type { Filled } from "../prometheus/template";
import type { CursorBus } from "../charts/cursor";
import type { TimeRange } from "./timerange";
import type { Chosen } from "./variables";

/** One refresh: all panels in sight ask for the same range with the same variables. */
export interface Round {
  range: Range;
  time: TimeRange;
  values: Readonly<Record<string, Filled>>;
  chosen: readonly Chosen[];
  /** Changes when range or variables are others, not at a refresh. */
  key: string;
}

export interface Board {
  round: Round;
  /** The variables with the options that are known by now; the round may have begun before. */
  chosen: readonly Chosen[];
  marks: Mark[];
  settings?: Settings;
  cursor: CursorBus;
  hidden: Map<number, ReadonlySet<string>>;
  busy: Busy;
  /** All panels are to be loaded, those out of sight too. */
  printing: boolean;
  zoom(range: Range): void;
}

/** Counts the loads under way. */
export class Busy {
  private n = 0;
  private readonly watchers = new Set<(n: number) => void>();

  begin(): () => void {
    this.tell(1);
    let ended = false;
    return () => {
      if (!ended) this.tell(-1);
      ended = true;
    };
  }

  get count(): number {
    return this.n;
  }

  watch(changed: (n: number) => void): () => void {
    this.watchers.add(changed);
    return () => this.watchers.delete(changed);
  }

  private tell(by: number): void {
    this.n += by;
    for (const w of this.watchers) w(this.n);
  }
}
