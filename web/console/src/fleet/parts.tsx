// What lists and pages have in common.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Listed } from "../api/lists";
import { useSettings } from "../api/settings";
import { useValue } from "../api/value";
import { way } from "../api/watch";
import { t } from "../texts";
import { l } from "../texts/lists";
import { isProblem, tone } from "./states";
import { Time } from "./time";

export function State({ state }: { state: string }) {
  return <span class={`f-state tone-${tone(state)}`}>{Object.hasOwn(l.stateNames, state) ? l.stateNames[state] : state}</span>;
}

/** The state in a list's row, with the way to the doctor where somebody should look, or where it starts and has a reason why it does not run yet. */
export function StateCell({ state, reason, doctor }: { state: string; reason: string; doctor: string }) {
  return (
    <>
      <State state={state} />
      {(isProblem(state) || (reason !== "" && tone(state) === "busy")) && (
        <small>
          <a href={doctor}>{t.shell.findOut}</a>
        </small>
      )}
    </>
  );
}

/** The doctor's page about something of the inventory. */
export function doctorOf(asked: Readonly<Record<string, string>>): string {
  return "/doctor?" + new URLSearchParams(asked).toString();
}

/** A name that may be long, as a link if it leads somewhere: cut in the row, whole in its title. */
export function Name({ href, children: name }: { href?: string; children: string }) {
  if (name === "") return <span class="f-none">{l.none}</span>;
  return href === undefined ? (
    <span class="f-short" title={name}>
      {name}
    </span>
  ) : (
    <a class="f-short" href={href} title={name}>
      {name}
    </a>
  );
}

/** A text that may be long: cut in the row, whole in its title. */
export function Cut({ text }: { text: string }) {
  if (text === "") return <span class="f-none">{l.none}</span>;
  return (
    <span class="f-cut" title={text}>
      {text}
    </span>
  );
}

export function OrNone({ children }: { children: string | number | undefined }) {
  return children === undefined || children === "" ? <span class="f-none">{l.none}</span> : <>{children}</>;
}

/** What is wrong with the lists that a page shows. */
export function Notices({ of }: { of: readonly Listed<unknown>[] }) {
  const how = useValue(way);
  const failed = of.find((x) => x.error && !x.older);
  const older = of.some((x) => x.older);
  return (
    <>
      {failed?.error && (
        <p class="f-notice bad" role="alert">
          {failed.items === undefined ? "" : l.stale + " "}
          {sentence(failed.error.message)}
          {failed.at !== undefined && (
            <>
              {" "}
              {l.confirmed} <Time at={failed.at} />
              {l.fullStop}
            </>
          )}
        </p>
      )}
      {older && <p class="f-notice">{l.older}</p>}
      {how === "asking" && <p class="f-notice faint">{l.asking}</p>}
    </>
  );
}

function sentence(text: string): string {
  return /[.!?。！？]$/.test(text) ? text : text + l.fullStop;
}

/** Says why there are no metrics, if there are none. */
export function MetricsNotice({ error }: { error: Error | undefined }) {
  const settings = useSettings();
  const none = settings && !settings.prometheus.available;
  if (!none && !error) return null;
  return (
    <p class={none ? "f-notice faint" : "f-notice bad"}>
      {none ? l.noMetrics(settings.prometheus.reason || l.noPrometheus) : `${l.metricsFailed}: ${error!.message}`} <a href="/doctor">{t.shell.findOut}</a>
    </p>
  );
}

/** Whether metrics can be asked for. A server without settings is an older one: it has a Prometheus or answers with an error. */
export function useHasMetrics(): boolean {
  const settings = useSettings();
  return settings === undefined || settings.prometheus.available;
}

export function Empty({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="f-empty">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/** A command to copy. */
export function Command({ text }: { text: string }) {
  const [copied, set] = useState(false);
  const copy = () => {
    void navigator.clipboard?.writeText(text).then(() => {
      set(true);
      setTimeout(() => set(false), 2000);
    });
  };
  return (
    <div class="f-command">
      <code tabIndex={0}>{text}</code>
      {"clipboard" in navigator && (
        <button onClick={copy} aria-live="polite">
          {copied ? l.copied : l.copy}
        </button>
      )}
    </div>
  );
}
