// Changes of the mapping, with the admin's token.
import { dryRun, problem, status, type DryRun, type Fault, type Status } from "./mapping";
import { decoded, failure, request, RequestError, type Check } from "./request";
import { declined } from "./token";

/** A change that was refused: the document's faults, and the generation that another change made active. */
export class ChangeError extends RequestError {
  readonly faults: readonly Fault[];
  /** After a 412: the active generation, if the server said it. */
  readonly active?: number;

  constructor(of: RequestError, faults: readonly Fault[], active?: number) {
    super(of.status, of.title, of.detail, of.retryAfter);
    this.name = "ChangeError";
    this.faults = faults;
    if (active !== undefined) this.active = active;
  }
}

/** What is to become active: a document, as YAML or JSON, or a generation of before. */
export type Wanted = { document: string } | { restore: number };

/** The path and the query of a change. */
export function pathOf(wanted: Wanted, parameters: Readonly<Record<string, string>>): string {
  const path = "restore" in wanted ? `/v2/metrics/config/generations/${wanted.restore}/restore` : "/v2/metrics/config";
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "")).toString();
  return path + (query === "" ? "" : "?" + query);
}

/** Tries a change at all connected workers; nothing becomes active. Throws ChangeError. */
export function tryChange(wanted: Wanted, base: number, signal: AbortSignal): Promise<DryRun> {
  return send(pathOf(wanted, { dry_run: "1" }), wanted, base, dryRun, signal);
}

/** Makes a change, if the base is still active. Throws ChangeError. */
export function makeChange(wanted: Wanted, base: number, comment: string, author: string): Promise<Status> {
  return send(pathOf(wanted, { comment, author }), wanted, base, status);
}

async function send<T>(path: string, wanted: Wanted, base: number, check: Check<T>, signal?: AbortSignal): Promise<T> {
  declined.set(false); // the viewer wants something of an admin: the dialog may ask again
  const headers: Record<string, string> = { "If-Match": `"${base}"` };
  if ("document" in wanted) headers["Content-Type"] = "application/yaml";
  const response = await request(path, { method: "POST", headers, ...("document" in wanted ? { body: wanted.document } : {}), ...(signal ? { signal } : {}) });
  if (!response.ok) throw await refusal(response);
  return decoded(path, await response.json(), check);
}

async function refusal(response: Response): Promise<ChangeError> {
  const active = generationOf(response);
  const copy = response.clone();
  try {
    const body = decoded("", await copy.json(), problem);
    const after = Number(response.headers.get("Retry-After") ?? NaN);
    return new ChangeError(new RequestError(response.status, body.title || response.statusText, body.detail, Number.isNaN(after) ? undefined : after), body.errors, active);
  } catch {
    return new ChangeError(await failure(response), [], active); // a proxy's answer
  }
}

/** The generation that an ETag names. */
export function generationOf(response: Response): number | undefined {
  const tag = /^(?:W\/)?"(\d+)/.exec(response.headers.get("ETag") ?? "")?.[1];
  return tag === undefined ? undefined : Number(tag);
}
