// Why a query has no answer, and what to do.
import { RequestError } from "../api/request";
import { t } from "../texts";

export class QueryError extends Error {
  constructor(
    message: string,
    readonly todo: string,
  ) {
    super(message);
    this.name = "QueryError";
  }
}

/** The error of a response that is no answer; body is its text. */
export function failureOf(status: number, body: string): QueryError {
  let message = "";
  let kind = "";
  try {
    const doc = JSON.parse(body) as { error?: unknown; errorType?: unknown; detail?: unknown; title?: unknown };
    message = String(doc.error ?? doc.detail ?? doc.title ?? "");
    kind = String(doc.errorType ?? "");
  } catch {
    message = body.trim().split("\n", 1)[0]!.slice(0, 300);
  }
  return new QueryError(message || t.shell.failures.status(status), todo(status, kind, message));
}

function todo(status: number, kind: string, message: string): string {
  if (/too many samples|maximum resolution/.test(message)) return t.shell.failures.shorter;
  if (kind === "timeout" || kind === "canceled" || /timed? ?out|deadline/.test(message)) return t.shell.failures.slow;
  if (kind === "bad_data" || status === 400) return t.shell.failures.report;
  if (kind === "execution" || status === 422) return t.shell.failures.execution;
  if (status === 401 || status === 403) return t.shell.failures.token;
  if (status === 429) return t.shell.failures.busy;
  if (status === 404) return t.shell.failures.absent;
  return t.shell.failures.unavailable;
}

/** Anything thrown while asking, as a QueryError. */
export function asFailure(thrown: unknown): QueryError {
  if (thrown instanceof QueryError) return thrown;
  if (thrown instanceof RequestError) return thrown.status === 0 ? new QueryError(t.shell.failures.unreachable, t.shell.failures.server) : new QueryError(thrown.message, todo(thrown.status, "", ""));
  const name = (thrown as { name?: string } | null)?.name;
  if (name === "TimeoutError") return new QueryError(t.shell.failures.timeout, t.shell.failures.slow);
  return new QueryError(thrown instanceof Error ? thrown.message : String(thrown), t.shell.failures.unavailable);
}
