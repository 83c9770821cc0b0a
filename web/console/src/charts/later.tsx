// Drawings that few panels use are loaded when one of them is on the page.
import { useEffect, useState } from "preact/hooks";
import type { Drawing } from "../model/panel";
import { t } from "../texts";

/** A drawing that loads itself when it is first drawn; until then it has no rows, and paints nothing. */
export function later(load: () => Promise<Drawing>): Drawing {
  let drawing: Drawing | undefined;
  return {
    component(props) {
      const [failed, setFailed] = useState(false);
      const [, draw] = useState(false);
      useEffect(() => {
        let here = true;
        if (!drawing) {
          load().then(
            (loaded) => {
              drawing = loaded;
              if (here) draw(true);
            },
            () => here && setFailed(true),
          );
        }
        return () => {
          here = false;
        };
      }, []);
      if (failed) return <div class="chart-empty">{t.charts.notLoaded}</div>;
      return drawing ? <drawing.component {...props} /> : null;
    },
    rows: (panel, data) => drawing?.rows(panel, data) ?? [],
    paint: (ctx, props) => drawing?.paint?.(ctx, props),
  };
}
