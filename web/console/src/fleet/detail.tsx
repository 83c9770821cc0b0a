// What the pages of one model, instance and worker have in common.
import "./fleet.css";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Listed } from "../api/lists";
import { t } from "../texts";
import { l } from "../texts/lists";
import { Notices, State } from "./parts";
import { tone } from "./states";
import { Time } from "./time";

interface DetailProps {
  list: { href: string; title: string };
  /** Absent: it is not known (yet). */
  name: string | undefined;
  state: string;
  since: string | undefined;
  /** What is said where the inventory has no such thing. */
  gone: string;
  lists: readonly Listed<unknown>[];
  loaded: boolean;
  children: ComponentChildren;
}

export function Detail({ list, name, state, since, gone, lists, loaded, children }: DetailProps) {
  useEffect(() => {
    document.title = `${name ?? list.title} · stackscope`;
  }, [name, list.title]);
  return (
    <div class="detail-page">
      <nav class="f-path" aria-label={l.path}>
        <a href={list.href}>{list.title}</a> /
      </nav>
      {name !== undefined && (
        <div class="f-detail-head">
          <h1>{name}</h1>
          <State state={state} />
          {since !== undefined && (
            <span class="f-dim" title={l.sinceTitle}>
              <Time at={since} words={l.sinceThen} />
            </span>
          )}
        </div>
      )}
      <Notices of={lists} />
      {name !== undefined ? children : loaded ? <p class="f-notice">{gone}</p> : lists.some((x) => x.error) ? null : <p class="f-dim">{l.loading}</p>}
    </div>
  );
}

/** What is wrong and what to do; nothing where all is well. */
export function Callout({ state, reason, todo, doctor }: { state: string; reason: string; todo: string | undefined; doctor: string }) {
  if (reason === "" && (todo === undefined || tone(state) === "good")) return null;
  return (
    <div class={`f-callout tone-${tone(state)}`} role="status">
      {reason !== "" && <p>{reason}</p>}
      {todo !== undefined && tone(state) !== "good" && <p class="f-dim">{todo}</p>}
      <p>
        <a href={doctor}>{t.shell.findOut}</a>
      </p>
    </div>
  );
}

/** Facts beside their names. Those that are undefined are left out. */
export function Facts({ of }: { of: readonly (readonly [string, ComponentChildren, string?] | undefined)[] }) {
  return (
    <dl class="f-facts">
      {of.map(
        (fact) =>
          fact &&
          fact[1] !== undefined &&
          fact[1] !== "" && (
            <div key={fact[0]} title={fact[2]}>
              <dt>{fact[0]}</dt>
              <dd>{fact[1]}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

export function Links({ of }: { of: readonly ([string, string] | undefined)[] }) {
  return (
    <nav aria-label={l.links}>
      <ul class="f-links">
        {of.map(
          (link) =>
            link && (
              <li key={link[0]}>
                <a href={link[1]}>{link[0]}</a>
              </li>
            ),
        )}
      </ul>
    </nav>
  );
}

