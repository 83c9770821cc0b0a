// A document's keys and values with their places, from the syntax tree of the editor.
import type { SyntaxNode, Tree } from "@lezer/common";

export interface Item {
  kind: "map" | "list" | "text";
  from: number;
  to: number;
  /** Of a text: without quotes. */
  text: string;
  entries: Entry[];
  items: Item[];
}

export interface Entry {
  key: string;
  from: number;
  to: number;
  value?: Item;
}

function unquote(raw: string): string {
  if (raw.startsWith('"')) {
    try {
      return JSON.parse(raw) as string;
    } catch {
      return raw.slice(1, raw.endsWith('"') && raw.length > 1 ? -1 : undefined);
    }
  }
  if (raw.startsWith("'")) return raw.slice(1, raw.endsWith("'") && raw.length > 1 ? -1 : undefined).replaceAll("''", "'");
  return raw;
}

function block(raw: string): string {
  const lines = raw.split("\n");
  const indicator = lines.shift() ?? "";
  const all = lines.map((line) => line.trim());
  return indicator.startsWith(">") ? all.join(" ") : all.join("\n");
}

function itemOf(node: SyntaxNode, text: string): Item | undefined {
  const item = (kind: Item["kind"]): Item => {
    const raw = text.slice(node.from, node.to);
    const from = node.from + (raw.length - raw.trimStart().length); // a block begins with the line break before it
    return { kind, from, to: node.to, text: "", entries: [], items: [] };
  };
  switch (node.name) {
    case "BlockMapping":
    case "FlowMapping": {
      const map = item("map");
      for (let pair = node.firstChild; pair; pair = pair.nextSibling) {
        if (pair.name !== "Pair") continue;
        const key = pair.getChild("Key");
        if (!key) continue;
        const entry: Entry = { key: unquote(text.slice(key.from, key.to)), from: key.from, to: key.to };
        for (let child = key.nextSibling; child; child = child.nextSibling) {
          const value = itemOf(child, text);
          if (value) entry.value = value;
        }
        map.entries.push(entry);
      }
      return map;
    }
    case "BlockSequence":
    case "FlowSequence": {
      const list = item("list");
      for (const child of node.getChildren("Item")) {
        const inner = child.firstChild && itemOf(child.firstChild, text);
        if (inner) list.items.push(inner);
      }
      return list;
    }
    case "Literal":
    case "QuotedLiteral":
      return { ...item("text"), text: unquote(text.slice(node.from, node.to)) };
    case "BlockLiteral":
      return { ...item("text"), text: block(text.slice(node.from, node.to)) };
    case "Tagged":
    case "Anchored":
      return node.lastChild ? itemOf(node.lastChild, text) : undefined;
    default:
      return undefined;
  }
}

/** The first document of a tree; undefined if there is nothing in it. */
export function outline(tree: Tree, text: string): Item | undefined {
  const top = tree.topNode.getChild("Document");
  for (let child = top?.firstChild; child; child = child.nextSibling) {
    const item = itemOf(child, text);
    if (item) return item;
  }
  return undefined;
}

export interface Range {
  from: number;
  to: number;
}

/** The place of a JSON pointer: the value if it is short, else its key. As far as the pointer can be followed. */
export function find(root: Item | undefined, pointer: string): Range | undefined {
  let at: Item | undefined = root;
  let range: Range | undefined;
  for (const part of pointer.split("/").slice(1).map((p) => p.replaceAll("~1", "/").replaceAll("~0", "~"))) {
    if (!at) break;
    if (at.kind === "map") {
      const entry: Entry | undefined = at.entries.findLast((e) => e.key === part || (part.endsWith("…") && e.key.startsWith(part.slice(0, -1))));
      if (!entry) break;
      const key = { from: entry.from, to: entry.to };
      at = entry.value;
      range = at?.kind === "text" ? { from: at.from, to: at.to } : key;
    } else if (at.kind === "list") {
      const item: Item | undefined = at.items[Number(part)];
      if (!item) break;
      at = item;
      range = item.kind === "map" && item.entries[0] ? { from: item.entries[0].from, to: item.entries[0].to } : { from: item.from, to: item.to };
    } else break;
  }
  return range;
}

/** The value of a key. */
export function value(item: Item | undefined, ...keys: string[]): Item | undefined {
  for (const key of keys) item = item?.entries.find((e) => e.key === key)?.value;
  return item;
}
