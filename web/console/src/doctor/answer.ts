// What GET /v2/doctor answers: the shapes of internal/wire/doctor.go.
import { list, number, optional, orEmpty, orFalse, orZero, shape, text, type Of } from "../api/check";

const subject = shape({ kind: text, id: optional(number), name: orEmpty });
export type Subject = Of<typeof subject>;

const finding = shape({ id: text, severity: text, subject: optional(subject), hop: orEmpty, what: text, seen: orEmpty, do: orEmpty, docs: orEmpty });
export type Finding = Of<typeof finding>;

const hop = shape({ hop: text, state: text, seen: orEmpty, seconds: optional(number), findings: list(text) });
export type Hop = Of<typeof hop>;

const path = shape({ model_instance_id: orZero, model_instance_name: orEmpty, worker_id: orZero, worker_name: orEmpty, metric: orEmpty, hops: list(hop) });
export type Path = Of<typeof path>;

export const answer = shape({
  subject,
  checked_at: optional(text),
  seconds: orZero,
  ok: orFalse,
  summary: orEmpty,
  findings: list(finding),
  paths: list(path),
  paths_left_out: orZero,
});
export type Answer = Of<typeof answer>;

/** How bad the whole is: the worst of the findings. */
export function stateOf(a: Answer): "ok" | "warning" | "broken" {
  if (a.findings.some((f) => f.severity === "error")) return "broken";
  return a.findings.some((f) => f.severity === "warning") || !a.ok ? "warning" : "ok";
}

/** The place of the first broken hop of a path; -1 if none is. */
export function firstBroken(p: Path): number {
  return p.hops.findIndex((h) => h.state === "broken");
}

/** How a path is: where it is broken, where it warns, or what could not be seen. */
export function pathState(p: Path): { state: "ok" | "warning" | "broken" | "unknown"; at?: Hop } {
  for (const state of ["broken", "warning", "unknown"] as const) {
    const at = p.hops.find((h) => h.state === state);
    if (at) return { state, at };
  }
  return { state: "ok" };
}

/** The paths, those that are broken first, and each state in the order of the findings that its paths have. */
export function sortPaths(a: Answer): Path[] {
  const order = { broken: 0, warning: 1, unknown: 2, ok: 3 };
  const ranked = a.paths.map((path) => {
    const has = new Set(path.hops.flatMap((h) => h.findings));
    const first = a.findings.findIndex((f) => has.has(f.id) && belongs(f, path));
    return { path, state: order[pathState(path).state], first: first < 0 ? a.findings.length : first };
  });
  return ranked.sort((x, y) => x.state - y.state || x.first - y.first).map((r) => r.path);
}

/** The summary, with what to do apart from it where the first finding says it. */
export function summaryOf(a: Answer): { what: string; todo: string } {
  const todo = a.findings[0]?.do ?? "";
  const at = todo === "" ? -1 : a.summary.indexOf(todo);
  if (at < 0) return { what: a.summary, todo: "" };
  return { what: (a.summary.slice(0, at).trimEnd() + a.summary.slice(at + todo.length)).trim(), todo };
}

/** Whether a finding is one of a first broken hop: it is what is to be mended first. */
export function isFirst(f: Finding, a: Answer): boolean {
  return a.paths.some((p) => {
    const at = firstBroken(p);
    return at >= 0 && p.hops[at]!.findings.includes(f.id) && belongs(f, p);
  });
}

/** Whether a finding is about this path's instance, or about its worker; one of the fleet is about all. */
function belongs(f: Finding, p: Path): boolean {
  switch (f.subject?.kind) {
    case "instance":
      return f.subject.id === undefined ? f.subject.name === p.model_instance_name : f.subject.id === p.model_instance_id;
    case "worker":
      return f.subject.id === undefined ? f.subject.name === p.worker_name : f.subject.id === p.worker_id;
    default:
      return true;
  }
}
