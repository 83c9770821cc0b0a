// A change of the mapping: what it would do, the comment, the activation, and its arrival at the workers.
import "../fleet/fleet.css";
import "./change.css";
import { useEffect, useRef, useState } from "preact/hooks";
import { makeChange, tryChange, type Wanted } from "../api/change";
import type { DryRun, Status } from "../api/mapping";
import { useSeconds } from "../fleet/seconds";
import { c } from "../texts/mappingchange";
import { Arrival } from "./arrival";
import { DryRunTable, Loss, lossInWords } from "./dryrun";
import { lossOf } from "./dryrows";
import { bytesOf, isOverlay, mostAuthor, mostComment, outcomeOf, type Outcome } from "./outcome";
import { Trouble } from "./trouble";

export interface ChangeProps {
  /** The text of the editor, YAML or JSON. */
  document: string;
  /** The generation that the text is based on: the change is made only while it is active. */
  base: number;
  /** With the document that was activated: the text may have been edited since. */
  onApplied(generation: number, document: string): void;
  /** Another generation became active, and the viewer goes on from it with the same text. */
  onBase?(generation: number): void;
  onClose?(): void;
  /** A generation to restore, in place of the document; 0 is the built-in mapping. */
  restore?: number;
}

type Trial = { of: string } & ({ state: "running" } | { state: "done"; run: DryRun } | { state: "failed" } | { state: "skipped" });

export function Change({ document: text, base: given, onApplied, onBase, onClose, restore }: ChangeProps) {
  const [base, setBase] = useState(given);
  useEffect(() => setBase(given), [given]);
  const wanted: Wanted = restore === undefined ? { document: text } : { restore };
  const [trial, setTrial] = useState<Trial>({ of: "", state: "running" });
  const [outcome, setOutcome] = useState<Outcome>();
  const [sending, setSending] = useState(false);
  const [done, setDone] = useState<Status>();
  const [round, setRound] = useState(0);
  const section = useRef<HTMLElement>(null);
  const trying = useRef<AbortController>(undefined);
  const [applied, setApplied] = useState<string>();
  useEffect(() => section.current?.focus(), []);

  useEffect(() => {
    if (done) return;
    const abort = (trying.current = new AbortController());
    setTrial({ of: text, state: "running" });
    setOutcome(undefined);
    tryChange(wanted, base, abort.signal).then(
      (run) => abort.signal.aborted || setTrial({ of: text, state: "done", run }),
      (e: unknown) => {
        if (abort.signal.aborted) return;
        setTrial({ of: text, state: "failed" });
        setOutcome(outcomeOf(e, false));
      },
    );
    return () => abort.abort();
  }, [base, round, restore]); // not with each letter: a dry run makes every worker read its engines

  const skip = () => {
    trying.current?.abort();
    setTrial({ of: text, state: "skipped" });
    setOutcome(undefined);
  };
  const activate = async (comment: string, author: string) => {
    setSending(true);
    setOutcome(undefined);
    try {
      const status = await makeChange(wanted, base, comment, author);
      setDone(status);
      setApplied(text);
      section.current?.focus(); // the form, which had the focus, is gone
      onApplied(status.generation, text);
    } catch (error) {
      setOutcome(outcomeOf(error, true));
    }
    setSending(false);
  };
  const anew = () => {
    setDone(undefined);
    setRound(round + 1);
    section.current?.focus();
  };
  // The key that opens the change tries a text that was edited since then.
  const edited = restore === undefined && text !== (done ? applied : trial.of);
  const onKey = useRef<() => void>(undefined);
  onKey.current = sending ? undefined : edited ? anew : () => section.current?.focus();
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() === "s" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) setTimeout(() => onKey.current?.()); // after the editor has handed over its text
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  // A comment that was typed is not thrown away by a key.
  const escape = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || event.defaultPrevented || event.isComposing || sending || !onClose) return;
    if (event.target instanceof HTMLInputElement && event.target.value !== "") return;
    event.preventDefault();
    onClose();
  };
  const takeBase = (generation: number) => {
    onBase?.(generation);
    setBase(generation);
  };

  return (
    <section class="mc-change" ref={section} tabIndex={-1} aria-labelledby="mc-title" onKeyDown={escape}>
      <div class="f-section-head">
        <h2 id="mc-title">{restore === undefined ? c.title : c.titleRestore(restore)}</h2>
        {!done && <span class="f-dim">{c.basedOn(base)}</span>}
        {onClose && (
          <button type="button" class="mc-close" onClick={onClose}>
            {c.close}
          </button>
        )}
      </div>
      {done ? (
        <>
          <Done status={done} />
          {edited && (
            <button type="button" onClick={anew}>
              {c.anew}
            </button>
          )}
        </>
      ) : (
        <>
          <h3>{c.dryRun}</h3>
          <Tried trial={trial} whole={restore === undefined && !isOverlay(text)} outdated={edited} again={() => setRound(round + 1)} skip={skip} />
          {outcome && <Trouble outcome={outcome} failed={trial.state === "failed" ? c.tryFailed : c.failed} base={base} again={() => setRound(round + 1)} takeBase={takeBase} />}
          <Form trial={trial} edited={edited} sending={sending} restoring={restore !== undefined} conflict={outcome?.kind === "conflict"} activate={(comment, author) => void activate(comment, author)} />
        </>
      )}
    </section>
  );
}

function Tried({ trial, whole, outdated, again, skip }: { trial: Trial; whole: boolean; outdated: boolean; again: () => void; skip: () => void }) {
  const seconds = useSeconds(trial.state === "running");
  if (trial.state === "running") {
    return (
      <div role="status" aria-busy="true">
        <p>{c.trying(seconds)}</p>
        <p class="f-dim">{c.dryRunAbout}</p>
        <button type="button" onClick={skip}>
          {c.skip}
        </button>
      </div>
    );
  }
  return (
    <>
      {outdated && <p class="f-notice">{c.outdated}</p>}
      {trial.state === "done" && <Result run={trial.run} whole={whole} />}
      {trial.state === "skipped" && <p class="f-notice">{c.skipped}</p>}
      <p class="mc-buttons">
        <button type="button" onClick={again}>
          {c.tryAgain}
        </button>
        {trial.state === "failed" && (
          <button type="button" onClick={skip}>
            {c.skip}
          </button>
        )}
      </p>
    </>
  );
}

function Result({ run, whole }: { run: DryRun; whole: boolean }) {
  const none = run.added + run.removed + run.changed === 0;
  return (
    <>
      <Loss run={run} whole={whole} />
      <p role="status">{run.unchanged ? c.same : none ? c.nothing : c.sums(run.added, run.removed, run.changed)}</p>
      <DryRunTable run={run} />
    </>
  );
}

const authorKey = "stackscope-author";

function lastAuthor(): string {
  try {
    return localStorage.getItem(authorKey) ?? "";
  } catch {
    return ""; // storage is turned off
  }
}

function keepAuthor(author: string): void {
  try {
    localStorage.setItem(authorKey, author);
  } catch {
    // storage is turned off
  }
}

interface FormProps {
  trial: Trial;
  /** The text is another one than that which was tried. */
  edited: boolean;
  sending: boolean;
  restoring: boolean;
  conflict: boolean;
  activate(comment: string, author: string): void;
}

function Form({ trial, edited, sending, restoring, conflict, activate }: FormProps) {
  const [comment, setComment] = useState("");
  const [author, setAuthor] = useState(lastAuthor);
  const [asked, setAsked] = useState(false);
  const [known, setKnown] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const loss = trial.state === "done" ? lossOf(trial.run) : { series: 0, metrics: 0 };
  const loses = loss.series + loss.metrics > 0;
  const lost = `${loss.series} ${loss.metrics}`;
  useEffect(() => setKnown(false), [lost]); // the tick is for these numbers
  const tooLong = bytesOf(comment) > mostComment || bytesOf(author) > mostAuthor;
  const tried = !edited && (trial.state === "done" || trial.state === "skipped");
  const submit = (event: Event) => {
    event.preventDefault();
    if (comment.trim() === "" && !asked) {
      setAsked(true);
      input.current?.focus();
      return;
    }
    keepAuthor(author.trim());
    activate(comment.trim(), author.trim());
  };
  return (
    <form class="mc-form" onSubmit={submit}>
      <Field id="mc-comment" label={c.comment} about={c.commentWhy} text={comment} most={mostComment} set={setComment} input={input} />
      {asked && comment.trim() === "" && (
        <p class="mc-hint" role="alert">
          {c.commentMissing}
        </p>
      )}
      <Field id="mc-author" label={c.author} about={c.authorWhy} text={author} most={mostAuthor} set={setAuthor} />
      {loses && (
        <label class="mc-tick">
          <input type="checkbox" checked={known} onChange={(e) => setKnown(e.currentTarget.checked)} />
          <strong>{lossInWords(loss.series, loss.metrics)}</strong>
        </label>
      )}
      <p class="mc-buttons">
        <button type="submit" class="mc-primary" disabled={!tried || sending || tooLong || conflict || (loses && !known)} aria-describedby="mc-wait">
          {sending ? c.activating : restoring ? c.restoring : c.activate}
        </button>
        <span id="mc-wait" class="f-dim">
          {!tried ? c.waitFirst : loses && !known ? c.tickFirst : ""}
        </span>
      </p>
    </form>
  );
}

interface FieldProps {
  id: string;
  label: string;
  about: string;
  text: string;
  most: number;
  set(text: string): void;
  input?: { current: HTMLInputElement | null };
}

function Field({ id, label, about, text, most, set, input }: FieldProps) {
  const bytes = bytesOf(text);
  return (
    <div class="mc-field">
      <label for={id}>{label}</label>
      <input ref={input ?? null} id={id} value={text} maxLength={most} autocomplete="off" aria-describedby={`${id}-about`} aria-invalid={bytes > most} onInput={(e) => set(e.currentTarget.value)} />
      <small id={`${id}-about`} class={bytes > most ? "f-wrong" : "f-dim"}>
        {bytes > most ? c.tooLong(bytes, most) : about}
      </small>
    </div>
  );
}

function Done({ status }: { status: Status }) {
  return (
    <>
      <p class="mc-done" role="status">
        {status.unchanged ? c.unchanged(status.generation) : c.applied(status.generation)}
        {status.vanishing && status.vanishing.series > 0 && <> · {c.vanished(status.vanishing.series)}</>}
      </p>
      <Arrival generation={status.generation} />
    </>
  );
}
