// The menu of a panel. Loaded when somebody opens one.
import type { Panel } from "../model/dashboard";
import type { Drawing, DrawingProps } from "../model/panel";
import { setQuery } from "../router";
import { t } from "../texts";
import type { Board } from "./board";
import { copyPicture, copyText, saveCSV } from "./export";
import { queriesOf } from "./load";
import { arrows } from "./popover";
import { isRelative } from "./timerange";
import { prometheusURL } from "./urls";

const text = t.shell;

export interface MenuProps {
  panel: Panel;
  board: Board;
  /** Of the panel's body. */
  width: number;
  drawing: Drawing | undefined;
  props: DrawingProps | undefined;
  body: { current: HTMLElement | null };
  full: boolean;
  close(): void;
  /** Says what was done. */
  tell(what: string): void;
}

export function PanelMenu({ panel, board, width, drawing, props, body, full, close, tell }: MenuProps) {
  const { round, settings } = board;
  const act = (what: () => Promise<string> | string) => {
    close();
    Promise.resolve()
      .then(what)
      .then(tell, (thrown: unknown) => tell(text.notCopied(thrown instanceof Error ? thrown.message : String(thrown))));
  };
  return (
    <div role="menu" aria-label={text.menu(panel.title)} onKeyDown={(event) => arrows(event, "[role=menuitem]")}>
      {settings?.prometheus.ui && (
        <a role="menuitem" href={prometheusURL(settings.prometheus.ui, queriesOf(panel, round, width), round.range, !isRelative(round.time))} target="_blank" rel="noopener">
          {text.openQueries}
        </a>
      )}
      <button role="menuitem" type="button" onClick={() => setQuery((q) => (full ? q.delete("viewPanel") : q.set("viewPanel", String(panel.id))))}>
        {full ? text.leaveFull : text.full}
      </button>
      {drawing && props && (
        <>
          <button role="menuitem" type="button" onClick={() => act(() => copyPicture(panel.title, drawing, props, body.current!))}>
            {text.copyPicture}
          </button>
          <button role="menuitem" type="button" onClick={() => act(() => saveCSV(panel.title, drawing, props))}>
            {text.saveCSV}
          </button>
        </>
      )}
      <button role="menuitem" type="button" onClick={() => act(() => copyText(linkTo(panel)))}>
        {text.copyLink}
      </button>
    </div>
  );
}

function linkTo(panel: Panel): string {
  const url = new URL(location.href);
  url.searchParams.set("viewPanel", String(panel.id));
  return url.href;
}
