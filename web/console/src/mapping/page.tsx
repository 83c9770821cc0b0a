// The mapping's page: the document in an editor, what it makes of a live instance's page, its activation and its history.
import "../fleet/fleet.css";
import "./mapping.css";
import { useEffect, useState } from "preact/hooks";
import type { PageProps } from "../app";
import { setQuery } from "../router";
import { m } from "../texts/mapping";
import { loadActive, type Active } from "./active";
import { History } from "./history";
import { Workbench, type Loaded } from "./workbench";

export default function Page({ place }: PageProps) {
  const [active, set] = useState<Active>();
  const [error, setError] = useState<Error>();
  const [round, setRound] = useState(0);
  const [loaded, load] = useState<Loaded>();
  const history = place.query.get("view") === "history";
  useEffect(() => {
    document.title = `${m.title} · stackscope`;
  }, []);
  useEffect(() => {
    let here = true;
    setError(undefined);
    loadActive().then(
      (got) => here && set(got),
      (e: unknown) => here && setError(e instanceof Error ? e : new Error(String(e))),
    );
    return () => {
      here = false;
    };
  }, [round]);
  const view = (name: string) => setQuery((q) => (name === "" ? q.delete("view") : q.set("view", name)));
  return (
    <div class="detail-page m-page">
      <div class="m-head">
        <h1>{m.title}</h1>
        <nav class="m-views" aria-label={m.views}>
          <button aria-current={history ? undefined : "page"} onClick={() => view("")}>
            {m.edit}
          </button>
          <button aria-current={history ? "page" : undefined} onClick={() => view("history")}>
            {m.history}
          </button>
        </nav>
      </div>
      {error && !active && (
        <p class="f-notice bad" role="alert">
          {m.notLoaded}: {error.message} <button onClick={() => setRound(round + 1)}>{m.again}</button>
        </p>
      )}
      {!active && !error && <p class="f-dim">{m.loading}</p>}
      {active && (
        <>
          <div hidden={history}>
            <Workbench place={place} active={active} setActive={set} reload={() => setRound((n) => n + 1)} loaded={loaded} />
          </div>
          {history && (
            <History
              active={active.generation}
              onLoad={(yaml) => {
                load({ yaml });
                view("");
              }}
              onApplied={() => setRound((n) => n + 1)}
            />
          )}
        </>
      )}
    </div>
  );
}
