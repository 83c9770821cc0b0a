// Requests to the server, with the viewer's token where there is one. Nothing else in the console calls fetch.
import { t } from "../texts";
import { heard } from "./clock";
import { reached, unreachable } from "./connection";
import { askForToken, declined, forgetToken, getToken } from "./token";

/** A request that failed: what was wrong and what to do. */
export class RequestError extends Error {
  /** The HTTP status; 0: there was no answer. */
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  /** Seconds to wait before another try; absent if the server did not say. */
  readonly retryAfter?: number;

  constructor(status: number, title: string, detail: string, retryAfter?: number) {
    super(detail === "" ? title : `${title}: ${detail}`);
    this.name = "RequestError";
    this.status = status;
    this.title = title;
    this.detail = detail;
    if (retryAfter !== undefined) this.retryAfter = retryAfter;
  }
}

/**
 * Asks the server. A 401 asks the viewer for the token and tries again; 403 and 429 become errors; every other status is the caller's.
 * Throws RequestError, or the AbortError of init.signal.
 */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const used = getToken();
  const response = await send(path, init, used);
  if (response.status === 401) return await withNewToken(path, init, used, response);
  return await allowed(response);
}

async function withNewToken(path: string, init: RequestInit, used: string | undefined, refused: Response): Promise<Response> {
  if (getToken() === used) {
    const why = await failure(refused);
    if (declined.get()) throw why;
    if (used !== undefined) forgetToken(); // the server has another one now
    // The request itself tries a token: only it shows whether the token's right is enough.
    let accepted: Response | undefined;
    const token = await askForToken(async (given) => {
      try {
        // The dialog outlives a caller that no longer waits.
        accepted = await send(path, init.signal?.aborted ? { ...init, signal: null } : init, given);
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
      if (accepted.status === 401) return t.fleet.wrongToken;
      if (accepted.status === 429) return t.fleet.tooManyTokens(accepted.headers.get("Retry-After") ?? "60");
      return undefined;
    });
    if (token === undefined) throw why;
    if (accepted) return await allowed(accepted); // absent: another request asked for the token
  }
  return await allowed(await send(path, init, getToken()));
}

async function allowed(response: Response): Promise<Response> {
  if ([401, 403, 429].includes(response.status)) throw await failure(response);
  return response;
}

/** Milliseconds after which a request without a signal of its own is given up, its body included. */
const patience = 60_000;

async function send(path: string, init: RequestInit, token: string | undefined): Promise<Response> {
  if (!path.startsWith("/") || path.startsWith("//")) throw new RequestError(0, t.fleet.badPath, path);
  const headers = new Headers(init.headers);
  if (token !== undefined) headers.set("Authorization", `Bearer ${token}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, signal: init.signal ?? AbortSignal.timeout(patience) });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    unreachable();
    throw new RequestError(0, t.fleet.unreachable, t.fleet.unreachableTodo); // browsers say no more than "Failed to fetch"
  }
  reached();
  heard(response);
  return response;
}

/** The error of an answer that is not one of success. Reads at most the first 8 KiB of its body. */
export async function failure(response: Response): Promise<RequestError> {
  let title = response.statusText || t.fleet.status(response.status);
  let detail = "";
  const text = (await response.text().catch(() => "")).slice(0, 8192);
  if (/json/.test(response.headers.get("Content-Type") ?? "")) {
    try {
      const problem = JSON.parse(text) as { title?: unknown; detail?: unknown; error?: unknown };
      if (typeof problem.title === "string" && problem.title !== "") title = problem.title;
      if (typeof problem.detail === "string") detail = problem.detail;
      else if (typeof problem.error === "string") detail = problem.error; // Prometheus' own errors
    } catch {
      detail = text.slice(0, 200);
    }
  } else if (!/html/.test(response.headers.get("Content-Type") ?? "")) {
    detail = text.slice(0, 200).trim();
  }
  if (response.status === 403) detail = [detail, t.fleet.forbidden].filter(Boolean).join(" ");
  const after = Number(response.headers.get("Retry-After") ?? NaN);
  if (response.status === 429 && !Number.isNaN(after)) detail = [detail, t.fleet.retryIn(after)].filter(Boolean).join(" ");
  return new RequestError(response.status, title, detail, Number.isNaN(after) ? undefined : after);
}

/** What decodes an answer: it throws, with a path, if the value is not of its shape. */
export type Check<T> = (value: unknown, at: string) => T;

/** Gets and decodes JSON. */
export async function json<T>(path: string, check?: Check<T>, init?: RequestInit): Promise<T> {
  const response = await request(path, init);
  if (!response.ok) throw await failure(response);
  let value: unknown;
  try {
    value = await response.json();
  } catch (error) {
    if (init?.signal?.aborted) throw error;
    throw new RequestError(response.status, t.fleet.notJSON, path);
  }
  return decoded(path, value, check);
}

export function decoded<T>(path: string, value: unknown, check?: Check<T>): T {
  if (!check) return value as T;
  try {
    return check(value, "$");
  } catch (error) {
    throw new RequestError(200, t.fleet.unexpected, `${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
