// What a refused change means to the viewer.
import { ChangeError } from "../api/change";
import { RequestError } from "../api/request";
import type { Fault } from "../api/mapping";

export type Outcome =
  /** Another change was faster. */
  | { kind: "conflict"; detail: string; active?: number }
  /** The viewer gave no admin token. */
  | { kind: "token"; message: string }
  | { kind: "faults"; message: string; faults: readonly Fault[] }
  /** No answer came to a change that the server may have made. */
  | { kind: "unsure"; message: string }
  /** Nothing was changed. */
  | { kind: "failed"; message: string; retryAfter?: number };

/** The outcome of a request that failed; making: it was the change itself, and not a dry run. */
export function outcomeOf(error: unknown, making: boolean): Outcome {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof RequestError)) return making ? { kind: "unsure", message } : { kind: "failed", message };
  switch (error.status) {
    case 412: {
      const active = error instanceof ChangeError ? error.active : undefined;
      return { kind: "conflict", detail: error.detail, ...(active === undefined ? {} : { active }) };
    }
    case 401:
    case 403:
      return { kind: "token", message };
    case 422:
      return { kind: "faults", message, faults: error instanceof ChangeError ? error.faults : [] };
    case 0: // no answer
    case 200: // an answer that cannot be read
    case 502:
    case 504: // a proxy that waited in vain
      if (making) return { kind: "unsure", message };
  }
  return { kind: "failed", message, ...(error.retryAfter === undefined ? {} : { retryAfter: error.retryAfter }) };
}

/** Bounds of the server, in bytes of UTF-8. */
export const mostComment = 1000;
export const mostAuthor = 128;

/** The size of a text as the server counts it. */
export function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Whether a document, YAML or JSON, says that it adds to the built-in mapping; for hints alone, the server decides. */
export function isOverlay(document: string): boolean {
  return /^\s*\{?\s*["']?extends["']?\s*:/m.test(document);
}
