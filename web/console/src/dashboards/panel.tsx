// A panel's frame: title, description, menu, and the state of its data around the drawing.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { unknownIn, type Panel } from "../model/dashboard";
import type { DrawingProps, Labels } from "../model/panel";
import { useTheme } from "../look/theme";
import type { QueryError } from "../prometheus/failure";
import { t } from "../texts";
import type { Board } from "./board";
import { isEmpty, usePanelData, useWhy } from "./data";
import { useDrawing } from "./drawings";
import { marked, watchSight } from "./hooks";
import { fillLink } from "./links";
import type { MenuProps } from "./panelmenu";
import { Later, Popover } from "./popover";
import { Boundary, Message, NoData, PureDrawing } from "./states";
import { Tip } from "./tip";

const text = t.shell;
const padding = 8;
const titleHeight = 30;

interface Props {
  panel: Panel;
  board: Board;
  /** Of the frame, in CSS pixels. */
  width: number;
  height: number;
  /** It is as high as its content: without a limit, or at most its height. */
  grows?: "free" | "limited";
  /** It is in sight when the page opens. */
  early: boolean;
  full?: boolean;
  /** Its row has no title, so that its own comes right below the page's. */
  first?: boolean;
  /** On the right half of the page: its boxes open to the left. */
  right?: boolean;
}

export function PanelFrame({ panel, board, width, height, grows, early, full, first, right }: Props) {
  const root = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState(early || !!full);
  useEffect(() => (full ? undefined : watchSight(root.current!, setSeen)), [full]);
  const unknown = useMemo(() => unknownIn(panel), [panel]);
  const inner = Math.max(0, width - 2 * padding - 2);
  const visible = (seen || board.printing) && unknown.length === 0;
  const shown = usePanelData(panel, board, visible, inner);
  const shownTheme = useTheme();
  const theme = board.printing ? "light" : shownTheme;
  const [note, setNote] = useState<string | undefined>();
  const [hidden, setHidden] = useState<ReadonlySet<string>>(() => board.hidden.get(panel.id) ?? new Set());
  const { round, cursor, zoom } = board;
  const room = height - (panel.title ? titleHeight : padding) - padding - 2;
  const bodyHeight = grows ? Infinity : room;
  const { drawing, failure: unloaded } = useDrawing(panel.kind, visible);
  const withMarks = marked.has(panel.kind);
  const empty = shown.data !== undefined && panel.kind !== "text" && isEmpty(shown.data);
  // A table says by itself that nothing is wrong, such as "No problems".
  const bare = empty && !(panel.kind === "table" && spoken(panel));
  const told = useWhy(panel, board, bare);

  const props = useMemo<DrawingProps | undefined>(() => {
    if (!shown.data || !drawing) return undefined;
    return {
      panel,
      data: withMarks ? { ...shown.data, marks: board.marks } : shown.data,
      width: inner,
      height: bodyHeight,
      theme,
      link: (url, fields, labels) => fillLink(url, round.values, round.time, fields, labels),
      zoom,
      cursor,
      hidden,
      setHidden: (names) => {
        board.hidden.set(panel.id, names);
        setHidden(names);
      },
      note: setNote,
      full: !!full,
    };
  }, [panel, drawing, shown.data, withMarks && board.marks, inner, bodyHeight, theme, round.key, hidden, full]);

  const small = width < 300 || height < 160;
  const Draw = drawing?.component;
  const drawn = props && Draw && (
    <Boundary
      of={props.data}
      broken={(why) => (
        <Message word={text.broken(why)} small={false} alarm>
          {text.brokenTodo}
        </Message>
      )}
    >
      <PureDrawing draw={Draw} given={props} />
    </Boundary>
  );

  const unavailable = board.settings && !board.settings.prometheus.available ? board.settings.prometheus.reason : undefined;
  let content;
  if (unknown.length > 0) {
    content = (
      <Message word={text.unknown(unknown)} small={false} alarm>
        {text.unknownTodo}
      </Message>
    );
  } else if (unavailable !== undefined && panel.kind !== "text") {
    content = (
      <Message word={text.noData} small={small}>
        {text.noPrometheus(unavailable)} <a href="/doctor">{text.findOut}</a>
      </Message>
    );
  } else if (!shown.data) {
    content = shown.failure && (
      <Message word={small ? text.failedShort : shown.failure.message} small={small} alarm>
        {small ? `${shown.failure.message} ${shown.failure.todo}` : shown.failure.todo} {ofPrometheus(shown.failure) && <a href="/doctor">{text.findOut}</a>}
      </Message>
    );
  } else if (bare) {
    content = <NoData told={told} board={board} small={small} word={spoken(panel)} />;
  } else if (unloaded !== undefined) {
    content = (
      <Message word={text.broken(unloaded)} small={false} alarm>
        {text.brokenTodo}
      </Message>
    );
  } else {
    content = drawn;
  }

  const stale = shown.data && shown.failure && shown.at !== undefined;
  const age = text.ago((Date.now() - (shown.at ?? 0)) / 1000);
  return (
    <div
      ref={root}
      role="group"
      id={`panel-${panel.id}`}
      class={"panel" + (right ? " right" : "") + (shown.loading ? " loading" : "") + (stale ? " stale" : "") + (panel.title ? "" : " bare")}
      data-kind={panel.kind}
      data-state={unknown.length > 0 ? "unknown" : unavailable !== undefined && panel.kind !== "text" ? "unavailable" : shown.failure ? "failed" : !shown.data ? "waiting" : empty ? "empty" : "drawn"}
      aria-label={panel.title || undefined}
      aria-busy={shown.loading}
    >
      {panel.title && (
        <header>
          <h3 aria-level={first ? 2 : 3}>
            <Title panel={panel} board={board} labels={soleLabels(shown.data?.answers)} />
          </h3>
          {panel.description && (
            <Tip label="i" name={text.about(panel.title)} className="about">
              {panel.description}
            </Tip>
          )}
          {shown.warnings.length > 0 && (
            <Tip label="!" name={shown.warnings.join(" ")} className="warn">
              {shown.warnings.map((w) => (
                <span key={w}>{w} </span>
              ))}
            </Tip>
          )}
          {stale && (
            <Tip label={width < 260 ? text.staleShort : text.stale(age)} className="warn">
              {text.staleWhy(age, shown.failure!.message, shown.failure!.todo)}
            </Tip>
          )}
          {panel.kind !== "text" && <Menu panel={panel} board={board} width={inner} drawing={drawing} props={props} body={body} full={!!full} />}
        </header>
      )}
      <div data-unprinted={text.notPrinted} class={grows ? "body grows" : "body"} ref={body} style={grows === "limited" ? { maxHeight: `${room + padding}px` } : {}}>
        {content}
      </div>
      {note !== undefined && !empty && <p class="note">{note}</p>}
    </div>
  );
}

/** Whether the server answers and its Prometheus does not. */
function ofPrometheus(failure: QueryError): boolean {
  return [text.failures.unavailable, text.failures.absent].includes(failure.todo);
}

/** The panel's own words for no data. */
function spoken(panel: Panel): string | undefined {
  return panel.noValue && panel.noValue !== "-" ? panel.noValue : undefined;
}

function soleLabels(answers: readonly (readonly { labels: Labels }[])[] | undefined): Labels | undefined {
  const series = answers?.flat() ?? [];
  return series.length === 1 ? series[0]!.labels : undefined;
}

function Title({ panel, board, labels }: { panel: Panel; board: Board; labels: Labels | undefined }) {
  const link = panel.links?.[0];
  const own = link && /\$\{__(?:data|field)\./.test(link.url) && !labels; // leads to one of several values
  const url = link && !own ? fillLink(link.url, board.round.values, board.round.time, labels ?? {}, labels ?? {}) : undefined;
  return url ? (
    <a href={url} title={link!.title}>
      {panel.title}
    </a>
  ) : (
    <span title={panel.title}>{panel.title}</span>
  );
}

const loadMenu = () => import("./panelmenu").then((m) => m.PanelMenu);

function Menu({ panel, board, width, drawing, props, body, full }: Omit<MenuProps, "close" | "tell">) {
  const [done, setDone] = useState("");
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(""), 4000);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <>
      <span role="status" class="done">
        {done}
      </span>
      <Popover button="⋮" name={text.menu(panel.title)} className="menu" end>
        {(close) => <Later load={loadMenu} props={{ panel, board, width, drawing, props, body, full, close, tell: setDone }} />}
      </Popover>
    </>
  );
}
