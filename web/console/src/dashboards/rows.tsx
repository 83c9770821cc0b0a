// The rows of a dashboard, each with a grid of panels.
import { useMemo, useState } from "preact/hooks";
import type { Row } from "../model/dashboard";
import { t } from "../texts";
import type { Board } from "./board";
import { columnsWidth, gap, heightOf, place, widthOf, type Band, type Placed, type Width } from "./layout";
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
    let top = aboveRows;
    return rows.map((row) => {
      if (row.title) top += 40;
      const bands = place(row, width).map((band) => {
        const at = top;
        if (!row.collapsed) top += heightOf(band.grows ? Math.min(band.lines, waitingLines) : band.lines) + gap;
        return { ...band, early: !row.collapsed && at < innerHeight };
      });
      return { row, bands };
    });
  }, [rows, width]);
  return (
    <>
      {laid.map(({ row, bands }, i) => (
        <RowView key={`${row.title} ${i}`} row={row} bands={bands} width={width} board={board} pixels={pixels} />
      ))}
    </>
  );
}

const aboveRows = 130; // header and controls, roughly: what this leaves out, the observer of sights finds
const waitingLines = 5; // of a table that grows, before its rows are there

function RowView({ row, bands, width, board, pixels }: { row: Row; bands: (Band & { early: boolean })[]; width: Width; board: Board; pixels: number }) {
  const [open, setOpen] = useState(!row.collapsed);
  const frame = (p: Placed, early: boolean, grows?: "limited" | "free") => (
    <PanelFrame
      key={p.panel.id}
      panel={p.panel}
      board={board}
      width={columnsWidth(p.columns, pixels)}
      height={heightOf(p.lines)}
      right={p.column > 12}
      early={early}
      first={!row.title}
      {...(grows && { grows })}
    />
  );
  const grid =
    open &&
    bands.map((band) =>
      band.grows ? (
        <div key={band.panels[0]!.panel.id} class="band">
          {frame(band.panels[0]!, band.early, width === "narrow" ? "free" : "limited")}
        </div>
      ) : (
        <div key={band.panels[0]!.panel.id} class="band grid">
          {band.panels.map((p) => (
            <div key={p.panel.id} class="cell" style={{ gridColumn: `${p.column} / span ${p.columns}`, gridRow: `${p.line} / span ${p.lines}` }}>
              {frame(p, band.early)}
            </div>
          ))}
        </div>
      ),
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
