// A table: the rows of all queries, sorted, filtered and in pages.
import { useMemo, useState } from "preact/hooks";
import { color } from "../format";
import type { DrawingProps } from "../model/panel";
import { t } from "../texts";
import { alignOf, cellOf, fieldsOf, titleOf, withVariables, type Shown } from "./columns";
import { Empty } from "./empty";
import { px } from "./fit";
import { gridOf, inOrder, prose, type Grid } from "./grid";
import type { Row } from "./merge";
import { filtered } from "./sort";
import { Chips, Pager } from "./table-tools";

const pageSize = 200;
/** Of blocks, where the table is as high as its rows. */
const blockPageSize = 20;
/** From so many rows on there is a field to filter them. */
const filterFrom = 11;
/** What a column of long texts gets at least, also against its wish, in a table that is wide enough. */
const proseWidth = 264;
const proseFrom = 1100;
/** Narrower, a row of texts is a block. */
const blockWidth = 900;

interface Choice {
  field: string;
  descending: boolean;
}

export function Table(props: DrawingProps) {
  const { panel, data, width, height, link } = props;
  const grid = useMemo(() => gridOf(panel, data), [panel, data]);
  const [choice, choose] = useState<Choice>();
  const [filter, setFilter] = useState("");
  const [only, setOnly] = useState<number>();
  const [page, setPage] = useState(0);

  const chosen = choice ? grid.columns.findIndex((c) => c.field === choice.field) : -1;
  const order = choice && chosen >= 0 ? { column: chosen, descending: choice.descending } : grid.order;
  const ordered = useMemo(() => inOrder(grid, order), [grid, order?.column, order?.descending]);
  const long = useMemo(() => prose(grid), [grid]);
  const marked = grid.columns.find((c) => c.paints === "background");
  if (!grid.rows.length) return <Empty panel={panel} height={height} good={marked !== undefined} />;

  const asked = filtered(ordered, filter, (row) => grid.columns.map((c) => cellOf(c, row).text));
  const found = only === undefined || !marked ? asked : asked.filter((row) => marked.value(row) === only);
  const blocks = marked !== undefined && width < blockWidth;
  const size = blocks && !Number.isFinite(height) ? blockPageSize : pageSize;
  const last = Math.max(0, Math.ceil(found.length / size) - 1);
  const at = Math.min(page, last);
  const shown = found.slice(at * size, (at + 1) * size);
  const searchable = grid.rows.length >= filterFrom;
  const heading = Math.max(0, grid.columns.findIndex((c) => !c.numeric));
  const sort = (c: Shown, i: number) => {
    const now = order?.column === i ? order.descending : undefined;
    choose({ field: c.field, descending: now === undefined ? c.numeric : !now });
  };
  const role = (name: "table" | "rowgroup" | "row" | "cell" | "columnheader" | "rowheader") => (blocks ? { role: name } : {}); // display: block takes the elements' own
  return (
    <div class={Number.isFinite(height) ? "c-table" : "c-table c-free"} style={{ height: px(height) }}>
      {(searchable || (marked && grid.rows.length > 1)) && (
        <div class="c-tools">
          {marked && <Chips column={marked} rows={asked} only={only} choose={setOnly} />}
          {searchable && (
            <span class="c-filter">
              {found.length < grid.rows.length && <span aria-live="polite">{t.cells.rowsFound(found.length, grid.rows.length)}</span>}
              <input
                type="search"
                placeholder={t.cells.filter}
                aria-label={t.cells.filter}
                value={filter}
                onInput={(event) => {
                  setFilter(event.currentTarget.value);
                  setPage(0);
                }}
              />
            </span>
          )}
        </div>
      )}
      <div class="c-scroll">
        <table class={blocks ? "c-blocks" : undefined} aria-label={panel.title} {...role("table")}>
          {!blocks && (
            <colgroup>
              {grid.columns.map((c) => (
                <col key={c.field} style={c.width ? { width: px(long.has(c) && width >= proseFrom ? Math.max(c.width, proseWidth) : c.width) } : {}} />
              ))}
            </colgroup>
          )}
          <thead {...role("rowgroup")}>
            <tr {...role("row")}>
              {grid.columns.map((c, i) => {
                const down = order?.column === i ? order.descending : undefined;
                return (
                  <th key={c.field} scope="col" class={side(c)} {...role("columnheader")} aria-sort={down === undefined ? undefined : down ? "descending" : "ascending"}>
                    {blocks ? (
                      c.title
                    ) : (
                      <button type="button" title={t.cells.sortBy(c.title.trim())} onClick={() => sort(c, i)}>
                        <span>{c.title}</span>
                        <span class="c-arrow" aria-hidden="true">
                          {down === undefined ? "" : down ? "↓" : "↑"}
                        </span>
                      </button>
                    )}
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody {...role("rowgroup")}>
            {shown.map((row, r) => (
              <tr key={r} {...role("row")}>
                {grid.columns.map((c, i) => (
                  <TableCell key={c.field} grid={grid} c={c} row={row} heading={i === heading} wraps={long.has(c)} blocks={blocks} link={link} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
        {!found.length && <p class="c-none">{t.cells.noneFound}</p>}
      </div>
      {found.length > size && <Pager from={at * size + 1} to={at * size + shown.length} of={found.length} back={at > 0 && (() => setPage(at - 1))} on={at < last && (() => setPage(at + 1))} />}
    </div>
  );
}

interface CellProps {
  grid: Grid;
  c: Shown;
  row: Row;
  heading: boolean;
  wraps: boolean;
  blocks: boolean;
  link: DrawingProps["link"];
}

function TableCell({ grid, c, row, heading, wraps, blocks, link }: CellProps) {
  const cell = cellOf(c, row);
  let content = <>{cell.text}</>;
  if (cell.share !== undefined) {
    content = (
      <span class="c-meter">
        <span class="c-track">
          <span class="c-fill" style={{ width: `${100 * cell.share}%`, background: color(cell.color!) }} />
        </span>
        <span class="c-meter-text">{cell.text}</span>
      </span>
    );
  } else if (cell.color && c.paints === "background") {
    content = (
      <span class="c-badge" style={{ background: color(cell.color) }}>
        {cell.text}
      </span>
    );
  }
  if (c.link && !cell.absent) {
    const fields = fieldsOf(grid.all, row);
    const url = link(withVariables(c.link.url, fields), fields, row.labels);
    if (url) {
      content = (
        <a href={url} title={titleOf(c.link, fields)}>
          {content}
        </a>
      );
    }
  }
  const classes = [side(c), wraps ? "c-prose" : "", wraps && !c.width ? "c-rest" : "", wraps && /\S{40}/.test(cell.text) ? "c-long" : "", cell.absent ? "c-absent" : "", cell.color ? "c-colored" : "", c.paints === "background" ? "c-marks" : ""].filter(Boolean).join(" ");
  const style = cell.color && c.paints === "text" ? { color: color(cell.color) } : {};
  if (blocks && cell.absent) return null;
  const heads = heading && !cell.absent;
  const title = blocks && !heads ? c.title : cell.text.length > 20 && !wraps ? cell.text : undefined;
  const Tag = heads ? "th" : "td";
  return (
    <Tag scope={heads ? "row" : undefined} role={blocks ? (heads ? "rowheader" : "cell") : undefined} class={classes} style={style} title={title}>
      {content}
    </Tag>
  );
}

function side(c: Shown): string {
  const align = alignOf(c);
  return align === "left" ? "" : "c-" + align;
}
