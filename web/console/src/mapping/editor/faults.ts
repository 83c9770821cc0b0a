// Faults of a document, as the server tells them, and their places in the editor's text.
import { list, number, optional, shape, text } from "../../api/check";
import { find, type Item } from "./outline";

export interface Fault {
  /** JSON pointer into the document. */
  pointer: string;
  detail: string;
  /** From 1; absent if it is not known. */
  line?: number;
}

export interface Placed extends Fault {
  from: number;
  to: number;
}

const problem = shape({ title: optional(text), detail: optional(text), errors: list(shape({ pointer: optional(text), detail: text, line: optional(number) })) });

/** What a 422 says: faults of the document, and what else is wrong with the request. */
export function faultsOf(body: unknown): { faults: Fault[]; other: string } {
  const got = problem(body, "$");
  const faults: Fault[] = [];
  const other: string[] = [];
  for (const error of got.errors) {
    const pointer = error.pointer ?? "";
    if (pointer !== "/mapping" && !pointer.startsWith("/mapping/")) {
      other.push(error.detail);
      continue;
    }
    // Servers without the field end the text with the line, and the YAML parser's text has its own.
    const inText = / \(line (\d+)\)$/.exec(error.detail);
    const said = inText ?? /^found no valid YAML: line (\d+):/.exec(error.detail);
    const line = error.line ?? (said ? Number(said[1]) : undefined);
    faults.push({ pointer: pointer.slice("/mapping".length), detail: inText ? error.detail.slice(0, inText.index) : error.detail, ...(line === undefined || line < 1 ? {} : { line }) });
  }
  if (got.errors.length === 0) other.push(got.detail ?? got.title ?? "");
  return { faults, other: other.join("; ") };
}

/** The places of faults: that of the pointer, if it is in the line that the server names; else the line. */
export function placed(faults: readonly Fault[], text: string, root: Item | undefined): Placed[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  const lineRange = (line: number) => {
    const start = starts[Math.min(line, starts.length) - 1]!;
    const end = Math.max(start, (starts[Math.min(line, starts.length)] ?? text.length + 1) - 1);
    const content = text.slice(start, end);
    return { from: start + (content.length - content.trimStart().length), to: start + content.trimEnd().length };
  };
  return faults
    .map((fault) => {
      const found = find(root, fault.pointer);
      let range = found;
      if (fault.line !== undefined) {
        const line = lineRange(fault.line);
        const inside = found && found.from >= starts[Math.min(fault.line, starts.length) - 1]! && found.from <= line.to;
        if (!inside) range = line;
      }
      range ??= lineRange(1);
      return { ...fault, line: fault.line ?? lineAt(starts, range.from), from: range.from, to: Math.max(range.to, range.from) };
    })
    .sort((a, b) => a.from - b.from);
}

function lineAt(starts: readonly number[], pos: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle]! <= pos) low = middle;
    else high = middle - 1;
  }
  return low + 1;
}
