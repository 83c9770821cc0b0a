// Asks the server what a document makes of a page. The same request finds the document's faults.
import { list, orZero, shape, text, type Of } from "../api/check";
import { decoded, failure, request } from "../api/request";
import { nativeReport } from "../api/types";
import { faultsOf, type Fault } from "./editor/faults";

const preview = shape({ unified: text, native: list(nativeReport), coverage: shape({ families: orZero, of: orZero }) });
export type Preview = Of<typeof preview>;

export interface Job {
  page: string;
  runtime: string;
  version: string;
  /** Absent: the active one. */
  document?: string;
}

export type Answer =
  | { kind: "page"; preview: Preview }
  | { kind: "faults"; faults: Fault[] }
  /** The document is good; the preview cannot be made. */
  | { kind: "none"; why: string }
  | { kind: "failed"; why: string };

const path = "/v2/metrics/preview";
/** Tries while other previews take the server's places. */
const mostTries = 5;

/** A page of which nothing becomes anything: it finds faults where no instance is there. */
export const noPage = "# no page\n";

export async function askPreview(job: Job, signal: AbortSignal): Promise<Answer> {
  const body = JSON.stringify({ page: job.page === "" ? noPage : job.page, runtime: job.runtime, version: job.version.slice(0, 128), ...(job.document === undefined ? {} : { mapping: job.document }) });
  try {
    for (let tries = 1; ; tries++) {
      const response = await request(path, { method: "POST", body, headers: { "Content-Type": "application/json" }, signal });
      if (response.ok) return { kind: "page", preview: decoded(path, await response.json(), preview) };
      if (response.status === 503 && tries < mostTries) {
        await pause(1000 * Math.min(10, Number(response.headers.get("Retry-After")) || 1), signal);
        continue;
      }
      if (response.status === 422) {
        const { faults, other } = faultsOf(await response.json());
        return faults.length > 0 ? { kind: "faults", faults } : { kind: "none", why: other };
      }
      return { kind: "failed", why: (await failure(response)).message };
    }
  } catch (error) {
    if (signal.aborted) throw error;
    return { kind: "failed", why: error instanceof Error ? error.message : String(error) };
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      if (signal.aborted) reject(signal.reason as Error);
      else resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

/** Answers the last of many questions: after a pause, one at a time. A question that comes meanwhile waits for the answer before it. */
export class Latest<Q, A> {
  readonly #answer: (question: Q, signal: AbortSignal) => Promise<A>;
  readonly #show: (answer: A, question: Q) => void;
  readonly #wait: number;
  #next: { question: Q } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running = false;
  #abort = new AbortController();

  constructor(wait: number, answer: (question: Q, signal: AbortSignal) => Promise<A>, show: (answer: A, question: Q) => void) {
    this.#wait = wait;
    this.#answer = answer;
    this.#show = show;
  }

  ask(question: Q): void {
    this.#next = { question };
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#run();
    }, this.#wait);
  }

  async #run(): Promise<void> {
    if (this.#running || !this.#next || this.#abort.signal.aborted) return;
    this.#running = true;
    const { question } = this.#next;
    this.#next = undefined;
    try {
      const answer = await this.#answer(question, this.#abort.signal);
      if (!this.#abort.signal.aborted) this.#show(answer, question);
    } catch {
      // it ended
    }
    this.#running = false;
    if (this.#timer === undefined) void this.#run();
  }

  end(): void {
    this.#abort.abort();
    clearTimeout(this.#timer);
  }
}
