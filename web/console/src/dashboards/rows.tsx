// The rows of a dashboard, each with a grid of panels.
import { useMemo, useState } from "preact/hooks";
import type { Row } from "../model/dashboard";
import { t } from "../texts";
import type { Board } from "./board";
import { columnsWidth, gap, heightOf, place, widthOf, type Placed, type Width } from "./layout";
import { PanelFrame } from "./panel";

interface Props {
  rows: readonly Row[];
  board: Board;
  /** Of the page, in CSS pixels. */
  pixels: number;
}

export function Rows({ rows, board, pixels }: Props) {
  const width = widthOf(pixels);
  const laid = useMemo(() => {
    let top = 0;
    return rows.map((row) => {
      const placed = place(row, width);
      const at = top;
      if (row.title) top += 40;
      if (!row.collapsed) top += Math.max(0, ...placed.map((p) => heightOf(p.line + p.lines - 1))) + gap;
      return { row, placed, top: at };
    });
  }, [rows, width]);
  return (
    <>
      {laid.map(({ row, placed, top }, i) => (
        <RowView key={`${row.title} ${i}`} row={row} placed={placed} top={top} width={width} board={board} pixels={pixels} />
      ))}
    </>
  );
}

const aboveRows = 160; // header and controls, roughly: what this leaves out, the observer of sights finds

function RowView({ row, placed, top, width, board, pixels }: { row: Row; placed: Placed[]; top: number; width: Width; board: Board; pixels: number }) {
  const [open, setOpen] = useState(!row.collapsed);
  const grid = open && (
    <div class={`grid ${width}`}>
      {placed.map((p) => {
        const y = width === "narrow" ? 0 : aboveRows + top + heightOf(p.line - 1);
        return (
          <div
            key={p.panel.id}
            class={p.grows ? "cell grows" : "cell"}
            style={{
              gridColumn: `${p.column} / span ${p.columns}`,
              ...(width === "narrow" ? { height: p.grows ? "auto" : `${heightOf(p.lines)}px` } : { gridRow: `${p.line} / span ${p.lines}` }),
            }}
          >
            <PanelFrame
              panel={p.panel}
              board={board}
              width={columnsWidth(p.columns, pixels)}
              height={heightOf(p.lines)}
              grows={p.grows}
              right={p.column > 12}
              early={width === "narrow" ? top < 600 && p.line <= 12 : !row.collapsed && y < innerHeight}
            />
          </div>
        );
      })}
    </div>
  );
  if (!row.title) return <>{grid}</>;
  return (
    <section class="row" aria-label={row.title}>
      <h2>
        <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
          <span class="arrow" aria-hidden="true" />
          {open ? row.title : t.shell.openRow(row.title, row.panels.length)}
        </button>
      </h2>
      {grid}
    </section>
  );
}
