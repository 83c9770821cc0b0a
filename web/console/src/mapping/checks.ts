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

export function useChecks(text: string, page: Page | undefined, runtime: string, generation: number): Checks {
  const native = page?.native ?? "";
  const version = page?.runtime_version ?? "";
  const [state, set] = useState<{ of?: string; answer?: Answer; preview?: Preview; previewOf?: string }>({});
  const [active, setActive] = useState<{ of: string; answer: Answer }>();
  const latest = useRef<Latest<Job, Answer>>(undefined);
  useEffect(() => {
    const asks = new Latest<Job, Answer>(pause, askPreview, (answer, job) =>
      set((before) => ({
        of: keyOf(job),
        answer,
        ...(answer.kind === "page" && job.page !== "" ? { preview: answer.preview, previewOf: pageOf(job) } : before.preview ? { preview: before.preview, previewOf: before.previewOf! } : {}),
      })),
    );
    latest.current = asks;
    return () => asks.end();
  }, []);
  const job: Job = { page: native, runtime, version, document: text };
  useEffect(() => latest.current?.ask(job), [text, native, runtime, version]);
  const activeKey = `${generation}\n${pageOf(job)}`;
  useEffect(() => {
    if (native === "") return;
    const abort = new AbortController();
    askPreview({ page: native, runtime, version }, abort.signal).then(
      (answer) => setActive({ of: activeKey, answer }),
      () => undefined, // it ended
    );
    return () => abort.abort();
  }, [activeKey]);
  return {
    answer: state.answer,
    checking: state.of !== keyOf(job),
    preview: state.previewOf === pageOf(job) ? state.preview : undefined,
    active: active?.of === activeKey ? active.answer : undefined,
  };
}

const pageOf = (job: Job) => `${job.runtime}\n${job.version}\n${job.page}`;
const keyOf = (job: Job) => `${pageOf(job)}\n\n${job.document}`;
