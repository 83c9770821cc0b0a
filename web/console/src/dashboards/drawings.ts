// The drawings of all kinds of panels. What the fleet's first screen shows is part of the program; the rest is loaded when it is needed.
import { useEffect, useState } from "preact/hooks";
import "../charts/charts.css";
import { stat, table } from "../cells";
import type { Kind } from "../model/dashboard";
import type { Drawing } from "../model/panel";

const known: Partial<Record<Kind, Drawing>> = { stat, table };

const later: Partial<Record<Kind, () => Promise<Drawing>>> = {
  bargauge: () => import("../cells/later").then((m) => m.barGauge),
  text: () => import("../cells/later").then((m) => m.text),
  timeseries: () => import("../charts/timeseries").then((m) => m.timeseries),
  heatmap: () => import("../charts/heatmap").then((m) => m.heatmap),
  "state-timeline": () => import("../charts/timeline").then((m) => m.stateTimeline),
};

const loading = new Map<Kind, Promise<void>>();

/** Loads the drawing of a kind; done when it can be used. */
export function loadDrawing(kind: Kind): Promise<void> {
  let promise = loading.get(kind);
  if (!promise) {
    const load = known[kind] ? undefined : later[kind];
    promise = load
      ? load().then(
          (d) => void (known[kind] = d),
          (thrown: unknown) => {
            loading.delete(kind); // the next panel tries again
            throw thrown;
          },
        )
      : Promise.resolve();
    loading.set(kind, promise);
  }
  return promise;
}

/** The drawing of a kind, loaded when the panel is wanted; or why it could not be loaded. */
export function useDrawing(kind: Kind, wanted: boolean): { drawing?: Drawing; failure?: string } {
  const [, loaded] = useState(0);
  const [failure, fail] = useState<string | undefined>();
  const drawing = known[kind];
  useEffect(() => {
    if (drawing || !wanted) return;
    let here = true;
    loadDrawing(kind).then(
      () => here && loaded((n) => n + 1),
      (thrown: unknown) => here && fail(thrown instanceof Error ? thrown.message : String(thrown)),
    );
    return () => {
      here = false;
    };
  }, [kind, drawing, wanted]);
  if (drawing) return { drawing };
  return failure === undefined ? {} : { failure };
}
