// What stands above and below a table's rows.
import { color } from "../format";
import { t } from "../texts";
import type { Shown } from "./columns";
import type { Row } from "./merge";

/** How many rows each meaning of the column has; a click shows only those. */
export function Chips({ column, rows, only, choose }: { column: Shown; rows: readonly Row[]; only: number | undefined; choose: (value: number | undefined) => void }) {
  return (
    <span class="c-chips" role="group" aria-label={t.cells.only}>
      {(column.meanings ?? []).map(({ value, text, color: name }) => {
        const n = rows.filter((row) => column.value(row) === value).length;
        if (typeof value !== "number" || (!n && only !== value)) return null;
        return (
          <button key={text} type="button" aria-pressed={only === value} onClick={() => choose(only === value ? undefined : value)}>
            <i style={{ background: color(name ?? "text") }} />
            {t.cells.count(n, text)}
          </button>
        );
      })}
    </span>
  );
}

/** The page of rows, and the way to the others. */
export function Pager({ from, to, of, back, on }: { from: number; to: number; of: number; back: false | (() => void); on: false | (() => void) }) {
  return (
    <div class="c-pager">
      <button type="button" disabled={!back} onClick={back || undefined} aria-label={t.cells.previousPage}>
        ‹
      </button>
      <span aria-live="polite">{t.cells.page(from, to, of)}</span>
      <button type="button" disabled={!on} onClick={on || undefined} aria-label={t.cells.nextPage}>
        ›
      </button>
    </div>
  );
}
