// The server's answers to the edited document: faults, and the preview of the chosen instance's page.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Page } from "../api/types";
import { askPreview, Latest, type Answer, type Job, type Preview } from "./previewasked";

export interface Checks {
  answer: Answer | undefined;
  checking: boolean;
  /** The last preview of this page. */
  preview: Preview | undefined;
  /** The page under the active mapping. */
  active: Answer | undefined;
}

const pause = 400; // milliseconds

/** What an answer is about. Pages are compared by identity: they are long. */
interface Subject {
  page: Page | undefined;
  runtime: string;
}

const same = (a: Subject | undefined, b: Subject) => a !== undefined && a.page === b.page && a.runtime === b.runtime;

export function useChecks(text: string, page: Page | undefined, runtime: string, generation: number): Checks {
  const subject: Subject = { page, runtime };
  const [state, set] = useState<{ of?: Subject & { text: string }; answer?: Answer; preview?: { of: Subject; preview: Preview } }>({});
  const [active, setActive] = useState<{ of: Subject; generation: number; answer: Answer }>();
  const latest = useRef<Latest<Subject & { text: string }, Answer>>(undefined);
  useEffect(() => {
    const asks = new Latest<Subject & { text: string }, Answer>(
      pause,
      (of, signal) => askPreview({ ...jobOf(of), document: of.text }, signal),
      (answer, of) =>
        set((before) => {
          const preview = answer.kind === "page" && of.page ? { of, preview: answer.preview } : before.preview;
          return { of, answer, ...(preview ? { preview } : {}) };
        }),
    );
    latest.current = asks;
    return () => asks.end();
  }, []);
  useEffect(() => latest.current?.ask({ ...subject, text }), [text, page, runtime]);
  useEffect(() => {
    if (!page) return;
    const abort = new AbortController();
    askPreview(jobOf(subject), abort.signal).then(
      (answer) => setActive({ of: subject, generation, answer }),
      () => undefined, // it ended
    );
    return () => abort.abort();
  }, [page, runtime, generation]);
  return {
    answer: state.answer,
    checking: !same(state.of, subject) || state.of?.text !== text,
    preview: same(state.preview?.of, subject) ? state.preview?.preview : undefined,
    active: same(active?.of, subject) && active?.generation === generation ? active.answer : undefined,
  };
}

const jobOf = ({ page, runtime }: Subject): Job => ({ page: page?.native ?? "", runtime, version: page?.runtime_version ?? "" });
