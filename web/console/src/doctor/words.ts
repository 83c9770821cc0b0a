// Commands and flags within a sentence, and the answer as a text to paste.
import { d } from "../texts/doctor";
import { firstBroken, sortPaths, type Answer, type Finding, type Path } from "./answer";

export interface Word {
  text: string;
  /** A command is copied as a whole; code is a flag or a name. Absent: words. */
  kind?: "command" | "code";
}

// A command stands after "run: ", up to the end of the sentence; commands without their arguments, flags and names stand anywhere.
const parts = /`([^`]+)`|(?<=\brun: )(\S.*?)(?=[.;]\s+[A-Z]|[.;]?\s*$)|(\bstackscope(?:-worker)?(?: (?:status|doctor|start|server|demo|worker|grafana|mapping)\b)(?: (?:unmapped|translate|diff|dry-run|show|history|restore|set|reset|check|list|remove|allow|install)\b)?|\bextends: default\b|--[a-z][a-z0-9.-]*[a-z0-9](?:=[^\s,;)]*[^\s.,;)])?|\bgpustack:[\w:]+|(?<![\w/])\/(?:metrics|readyz|healthz|v2\/[\w/{}-]+)\b)/g;

/** A sentence of the server as words and code. Nothing in it is taken for markup. */
export function wordsOf(sentence: string): Word[] {
  const words: Word[] = [];
  let at = 0;
  for (const m of sentence.matchAll(parts)) {
    if (m.index > at) words.push({ text: sentence.slice(at, m.index) });
    const text = m[1] ?? m[2] ?? m[3]!;
    words.push({ text, kind: m[3] !== undefined || !text.includes(" ") ? "code" : "command" });
    at = m.index + m[0].length;
  }
  if (at < sentence.length) words.push({ text: sentence.slice(at) });
  return words;
}

/** The name that a server proposes in the place of one that it does not know; undefined if it proposes none. */
export function proposedIn(detail: string): string | undefined {
  const quoted = /did you mean ("(?:[^"\\]|\\.)*")\?$/.exec(detail)?.[1];
  if (quoted === undefined) return undefined;
  try {
    return String(JSON.parse(quoted));
  } catch {
    return undefined; // an escape of Go that JSON does not have
  }
}

/** With a capital at its beginning. */
export function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** Page and section of the documentation, such as discovery.md#when-an-engine-is-missing. */
export function docsOf(docs: string): string {
  const [page = "", anchor = ""] = docs.split("#", 2);
  const words = anchor.replaceAll("-", " ").trim();
  return d.docsAt(page, sentence(words));
}

/** The title of a path. */
export function titleOf(p: Path): string {
  const title = p.model_instance_name === "" ? d.ownMetrics(p.worker_name) : d.onWorker(p.model_instance_name, p.worker_name);
  return p.metric === "" ? title : `${title}, ${d.ofMetric(p.metric)}`;
}

export function hopName(hop: string): string {
  return Object.hasOwn(d.hops, hop) ? d.hops[hop]! : hop;
}

export function stateName(state: string): string {
  return Object.hasOwn(d.states, state) ? d.states[state]! : state;
}

export function severityName(severity: string): string {
  return Object.hasOwn(d.severities, severity) ? d.severities[severity]! : severity;
}

/** Marks beside the words of states. */
export const marks: Record<string, string> = { ok: "✓", warning: "!", broken: "✕", unknown: "?" };

export function secondsOf(seconds: number): string {
  if (seconds < 0.001) return "< 0.001";
  return seconds < 0.0995 ? seconds.toFixed(3) : seconds < 9.95 ? seconds.toFixed(2) : seconds.toFixed(0);
}

function subjectOf(f: Finding): string {
  const s = f.subject;
  return !s || s.name === "" ? "" : `${Object.hasOwn(d.kinds, s.kind) ? d.kinds[s.kind] : s.kind} ${s.name}`;
}

/** The answer as plain text. */
export function asText(a: Answer, command: string): string {
  const lines = [`$ ${command}`, `${a.checked_at ?? ""} ${d.took(secondsOf(a.seconds))}`.trim(), "", a.summary];
  for (const f of a.findings) {
    lines.push("", `[${severityName(f.severity)}] ${f.what} (${[f.id, subjectOf(f)].filter(Boolean).join(", ")})`);
    if (f.seen !== "") lines.push(`  ${d.whatSeen}: ${f.seen}`);
    if (f.do !== "") lines.push(`  ${d.whatToDo}: ${f.do}`);
    if (f.docs !== "") lines.push(`  ${d.docs}: ${docsOf(f.docs)}`);
  }
  for (const p of sortPaths(a)) {
    lines.push("", titleOf(p));
    const broken = firstBroken(p);
    p.hops.forEach((h, i) => {
      const seconds = h.seconds === undefined ? "" : ` (${d.seconds(secondsOf(h.seconds))})`;
      lines.push(`  ${marks[h.state] ?? "?"} ${hopName(h.hop)}: ${h.seen}${seconds}${i === broken ? ` <- ${d.firstBroken}` : ""}`);
    });
  }
  if (a.paths_left_out > 0) lines.push("", d.leftOut(a.paths_left_out));
  return lines.join("\n") + "\n";
}

export { subjectOf };
