// Why there is no data: the doctor's answer about the fleet, an instance, a worker, a model or a metric.
import "../fleet/fleet.css";
import "./doctor.css";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { PageProps } from "../app";
import { json, RequestError } from "../api/request";
import { Command } from "../fleet/parts";
import { useSeconds } from "../fleet/seconds";
import { Time } from "../fleet/time";
import { d } from "../texts/doctor";
import { answer as check, isFirst, stateOf, summaryOf, type Answer } from "./answer";
import { Ask } from "./ask";
import { Finding, Words } from "./finding";
import { Paths } from "./paths";
import { askedIn, bundleCommand, commandOf, kindIn, nameIn, queryOf, type Asked } from "./subject";
import { asText, marks, proposedIn, secondsOf, sentence, stateName } from "./words";

interface Got {
  /** The query that was asked. */
  of: string;
  answer?: Answer;
  error?: Error;
}

export default function Page({ place }: PageProps) {
  const asked = useMemo(() => askedIn(place.query), [place.query.toString()]);
  const query = queryOf(asked);
  const [got, set] = useState<Got>();
  const [round, setRound] = useState(0);
  const [busy, setBusy] = useState(true);
  useEffect(() => {
    document.title = [nameIn(asked), `${d.title} · stackscope`].filter(Boolean).join(" · ");
    const abort = new AbortController();
    setBusy(true);
    json("/v2/doctor" + query, check, { signal: abort.signal }).then(
      (answer) => {
        set({ of: query, answer });
        setBusy(false);
      },
      (e: unknown) => {
        if (abort.signal.aborted) return;
        set({ of: query, error: e instanceof Error ? e : new Error(String(e)) });
        setBusy(false);
      },
    );
    return () => abort.abort();
  }, [query, round]);
  const again = () => setRound(round + 1);
  const shown = got?.of === query ? got : undefined; // an answer about something else would be taken for this one's
  const command = commandOf(asked, location.origin);
  return (
    <div class="list-page dr-page" aria-busy={busy}>
      <h1>{d.title}</h1>
      <p class="f-dim">{d.about}</p>
      <Ask asked={asked} busy={busy} again={again} />
      {busy && <Progress asked={asked} />}
      {shown?.error && <Failed error={shown.error} asked={asked} />}
      {shown?.answer && <Answered answer={shown.answer} command={command} />}
      <section class="dr-commands">
        <h2>{d.command}</h2>
        <Command text={command} />
        <p class="f-dim">{d.bundle}</p>
        <Command text={bundleCommand(location.origin)} />
      </section>
    </div>
  );
}

/** The server takes at most this long, in seconds. */
const longest = 15;

function Progress({ asked }: { asked: Asked }) {
  const seconds = useSeconds(true);
  const kind = kindIn(asked);
  const name = nameIn(asked);
  const what = name === "" ? d.theFleet : kind ? d.of(d.kinds[kind]!, name) : name;
  return (
    <div class="dr-progress" role="status">
      <p>
        {d.running(what, seconds)} <progress max={longest} value={Math.min(seconds, longest)} aria-label={d.running(what, seconds)} />
      </p>
      <p class="f-dim">{d.runningWhy}</p>
    </div>
  );
}

function Failed({ error, asked }: { error: Error; asked: Asked }) {
  const status = error instanceof RequestError ? error.status : 0;
  const detail = error instanceof RequestError ? error.detail : "";
  const proposed = status === 404 ? proposedIn(detail) : undefined;
  // An older server answers that the path does not exist, and names the list of those that do.
  const older = status === 404 && (Object.keys(asked).length === 0 || detail === "" || detail.includes("/openapi.json"));
  return (
    <div class={`f-callout tone-${older ? "warn" : "bad"}`} role="alert">
      {older ? (
        <p>{d.older}</p>
      ) : status === 404 || status === 409 ? (
        <>
          <p>
            <strong>{detail === "" ? (status === 404 ? d.unknown : d.ambiguous) : sentence(detail)}</strong>
          </p>
          {proposed !== undefined && (
            <p>
              <a href={"/doctor" + queryOf({ subject: proposed })}>{d.checkThis(proposed)}</a>
            </p>
          )}
          <p class="f-dim">{d.choose}</p>
        </>
      ) : (
        <>
          <p>
            <strong>{d.failed}</strong>
          </p>
          <p>{error.message}</p>
          {error instanceof RequestError && error.retryAfter !== undefined && status !== 429 && <p>{d.busy(error.retryAfter)}</p>}
        </>
      )}
    </div>
  );
}

function Answered({ answer, command }: { answer: Answer; command: string }) {
  const state = stateOf(answer);
  const { what, todo } = summaryOf(answer);
  const first = answer.findings.filter((f) => isFirst(f, answer));
  const open = new Set(first.length > 0 ? first.slice(0, 3) : answer.findings.filter((f) => f.severity !== "info").slice(0, 1));
  return (
    <>
      <div class={`dr-summary dr-${state}`} role="status">
        <span class="dr-mark" aria-hidden="true">
          {marks[state]}
        </span>
        <p>
          <strong>
            <Words of={what || (state === "ok" ? d.noFindings : stateName(state))} />
          </strong>
        </p>
        {todo !== "" && (
          <p>
            <Words of={todo} />
          </p>
        )}
        <p class="f-dim">
          {answer.checked_at !== undefined && (
            <>
              {d.checkedAt} <Time at={answer.checked_at} />
              {d.comma}
            </>
          )}
          {d.took(secondsOf(answer.seconds))} <CopyText text={() => asText(answer, command)} />
        </p>
      </div>
      {answer.findings.length > 0 && (
        <section>
          <h2>{d.findings}</h2>
          {answer.findings.map((f, i) => (
            <Finding key={`${f.id} ${f.subject?.kind} ${f.subject?.id} ${i}`} of={f} open={open.has(f)} />
          ))}
        </section>
      )}
      <Paths answer={answer} />
    </>
  );
}

function CopyText({ text }: { text: () => string }) {
  const [told, set] = useState("");
  useEffect(() => {
    if (told === "") return;
    const timer = setTimeout(() => set(""), 4000);
    return () => clearTimeout(timer);
  }, [told]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      set(d.copied);
    } catch {
      set(d.notCopied); // no clipboard without TLS
    }
  };
  return (
    <>
      <button type="button" onClick={() => void copy()}>
        {d.copyText}
      </button>{" "}
      <span role="status">{told}</span>
    </>
  );
}
