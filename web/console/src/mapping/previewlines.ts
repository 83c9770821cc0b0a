// The lines of a metrics page, and the metric that each belongs to.
import type { NativeReport } from "../api/types";

/** The lines of a text, without the end that the last line break makes. */
export function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** The name in a sample, or in a line of HELP, TYPE or UNIT; "" if there is none. */
export function nameIn(line: string): string {
  const found = /^(?:# (?:HELP|TYPE|UNIT) )?([a-zA-Z_:][a-zA-Z0-9_:.]*)/.exec(line) ?? /^\{\s*"([^"]+)"/.exec(line);
  return line.startsWith("#") && !/^# (HELP|TYPE|UNIT) /.test(line) ? "" : (found?.[1] ?? "");
}

const suffix = /_(bucket|sum|count|total|created|info|gsum|gcount)$/;

/** The name among known ones that a sample's or a comment's name belongs to: a histogram's samples have suffixes. */
export function belongsTo(name: string, known: (name: string) => boolean): string | undefined {
  if (name === "") return undefined;
  if (known(name)) return name;
  const short = name.replace(suffix, "");
  if (short !== name && known(short)) return short;
  return known(name + "_total") ? name + "_total" : undefined;
}

/** For each line the name of its metric; undefined of comments and of what the report leaves out. */
export function ownersOf(lines: readonly string[], names: Iterable<string>): (string | undefined)[] {
  const known = new Set(names);
  const kept = new Map<string, string | undefined>();
  return lines.map((line) => {
    const name = nameIn(line);
    if (!kept.has(name)) kept.set(name, belongsTo(name, (n) => known.has(n)));
    return kept.get(name);
  });
}

/** The names that a page's TYPE lines declare, and of samples without one. */
export function familiesOf(lines: readonly string[]): string[] {
  const names = new Set<string>();
  for (const line of lines) if (line.startsWith("# TYPE ")) names.add(nameIn(line));
  for (const line of lines) {
    const name = nameIn(line);
    if (name !== "" && !line.startsWith("#") && belongsTo(name, (n) => names.has(n)) === undefined) names.add(name);
  }
  return [...names];
}

/** Which native metrics feed a unified one, and the other way round. */
export interface Links {
  reports: ReadonlyMap<string, NativeReport>;
  /** By unified metric: the native ones of which it has samples. */
  from: ReadonlyMap<string, readonly string[]>;
}

export function linksOf(reports: readonly NativeReport[]): Links {
  const from = new Map<string, string[]>();
  for (const report of reports) {
    for (const outcome of report.outcomes) {
      if (outcome.samples === 0) continue;
      const natives = from.get(outcome.family);
      if (natives) natives.push(report.name);
      else from.set(outcome.family, [report.name]);
    }
  }
  return { reports: new Map(reports.map((r) => [r.name, r])), from };
}

export const isMapped = (report: NativeReport | undefined): boolean => report?.outcomes.some((o) => o.samples > 0) ?? false;

/** Unified metrics that have samples of a native one. */
export const targetsOf = (report: NativeReport | undefined): string[] => report?.outcomes.filter((o) => o.samples > 0).map((o) => o.family) ?? [];

/** Native metrics that become something else under another mapping. */
export function changedNatives(before: readonly NativeReport[], after: readonly NativeReport[]): Set<string> {
  const say = (r: NativeReport) => r.outcomes.map((o) => `${o.family} ${o.samples}`).join("\n");
  const old = new Map(before.map((r) => [r.name, say(r)]));
  return new Set(after.filter((r) => (old.get(r.name) ?? "") !== say(r)).map((r) => r.name));
}
