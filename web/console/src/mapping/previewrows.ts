// The rows of the two pages: what each line belongs to, and which lines a filter lets through.
import type { NativeReport } from "../api/types";
import type { Row } from "./previewpane";
import { difference, split, type Difference, type Line } from "./previewdiff";
import { changedNatives, isMapped, linesOf, linksOf, ownersOf, targetsOf, type Links } from "./previewlines";
import type { Preview } from "./previewasked";

export type Shown = "all" | "mapped" | "unmapped" | "changed";
export const filters: readonly Shown[] = ["all", "mapped", "unmapped", "changed"];

export interface PageRow extends Row {
  /** The metric; undefined of comments and of metrics that the report leaves out. */
  owner: string | undefined;
  /** The line without its value: it stays when values change. */
  key: string;
  line?: Line;
}

export interface Words {
  mapped: string;
  unmapped: string;
  added: string;
  removed: string;
  changed: string;
}

export interface Pages {
  links: Links;
  native: PageRow[];
  unified: PageRow[];
  /** Native metrics that become something else than under the active mapping. */
  changed: ReadonlySet<string>;
  difference?: Difference;
}

const signs = { added: "+", removed: "−", changed: "~", same: "" };

/** Both pages; without a preview the unified one is empty. `active` is the preview under the active mapping. */
export function pagesOf(native: string, preview: Preview | undefined, active: Preview | undefined, words: Words): Pages {
  const reports: readonly NativeReport[] = preview?.native ?? [];
  const links = linksOf(reports);
  const lines = linesOf(native);
  const owners = ownersOf(lines, links.reports.keys());
  const nativeRows = lines.map((text, i): PageRow => {
    const owner = owners[i];
    const comment = text.startsWith("#");
    const mapped = owner !== undefined && isMapped(links.reports.get(owner));
    return {
      text,
      owner,
      key: split(text)[0],
      className: comment ? "comment" : owner === undefined ? "" : mapped ? "mapped" : "unmapped",
      sign: comment || owner === undefined ? "" : mapped ? "→" : "·",
      says: comment || owner === undefined ? "" : mapped ? words.mapped : words.unmapped,
    };
  });
  const unified = linesOf(preview?.unified ?? "");
  const compared = preview && active ? difference(linesOf(active.unified), unified) : undefined;
  const all: Line[] = compared?.lines ?? unified.map((text) => ({ text, mark: "same" }));
  const families = all.filter((l) => l.text.startsWith("# TYPE ")).map((l) => l.text.split(" ", 3)[2]!);
  const of = ownersOf(
    all.map((l) => l.text),
    families,
  );
  return {
    links,
    native: nativeRows,
    unified: all.map((line, i) => ({
      text: line.text,
      owner: of[i],
      key: split(line.text)[0],
      line,
      className: [line.text.startsWith("#") ? "comment" : "", line.mark === "same" ? "" : line.mark].filter(Boolean).join(" "),
      sign: signs[line.mark],
      says: line.mark === "same" ? "" : words[line.mark],
    })),
    changed: preview && active ? changedNatives(active.native, preview.native) : new Set(),
    ...(compared ? { difference: compared } : {}),
  };
}

/** The rows that a filter and the words of a search let through. A metric that is found brings along what belongs to it on the other page. */
export function filtered(pages: Pages, shown: Shown, search: string): { native: PageRow[]; unified: PageRow[] } {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = (row: PageRow) => words.length === 0 || words.every((word) => row.text.toLowerCase().includes(word));
  const passes = (row: PageRow) => {
    if (shown === "all") return true;
    if (row.owner === undefined) return false;
    if (shown === "changed") return pages.changed.has(row.owner);
    return isMapped(pages.links.reports.get(row.owner)) === (shown === "mapped");
  };
  if (words.length === 0) {
    return { native: shown === "all" ? pages.native : pages.native.filter(passes), unified: shown === "changed" ? pages.unified.filter((row) => row.line?.mark !== "same") : pages.unified };
  }
  const owners = (rows: readonly PageRow[]) => new Set(rows.filter(found).flatMap((row) => row.owner ?? []));
  const unifiedOf = new Set([...owners(pages.native)].flatMap((native) => targetsOf(pages.links.reports.get(native))));
  const nativeOf = new Set([...owners(pages.unified)].flatMap((unified) => pages.links.from.get(unified) ?? []));
  return {
    native: pages.native.filter((row) => passes(row) && (found(row) || (row.owner !== undefined && nativeOf.has(row.owner)))),
    unified: pages.unified.filter((row) => (shown !== "changed" || row.line?.mark !== "same") && (found(row) || (row.owner !== undefined && unifiedOf.has(row.owner)))),
  };
}
