// The part of Markdown that our panels use, as a tree.

export type Inline = string | { kind: "strong" | "em"; inside: Inline[] } | { kind: "code"; text: string } | { kind: "link"; url: string; inside: Inline[] };
type Block = { kind: "p"; inside: Inline[] } | { kind: "h"; inside: Inline[] } | { kind: "ul" | "ol"; items: Inline[][] };

const item = /^\s*(?:[-*+]|(\d+)[.)])\s+(.*)$/;

/** Paragraphs, headings and flat lists. */
export function blocks(markdown: string): Block[] {
  const out: Block[] = [];
  let open: { kind: "p" | "ul" | "ol"; texts: string[] } | undefined;
  const close = () => {
    if (open?.kind === "p") out.push({ kind: "p", inside: inline(open.texts.join(" ")) });
    else if (open) out.push({ kind: open.kind, items: open.texts.map(inline) });
    open = undefined;
  };
  for (const line of markdown.split(/\r?\n/)) {
    const listed = item.exec(line);
    const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line);
    if (!line.trim()) close();
    else if (heading) {
      close();
      out.push({ kind: "h", inside: inline(heading[1]!) });
    } else if (listed) {
      const kind = listed[1] ? "ol" : "ul";
      if (open?.kind !== kind) {
        close();
        open = { kind, texts: [] };
      }
      open!.texts.push(listed[2]!);
    } else if (open && (open.kind === "p" || /^\s/.test(line))) {
      const last = open.texts.length - 1; // a line goes on in a paragraph, and indented in an item
      if (open.kind === "p") open.texts.push(line.trim());
      else open.texts[last] += " " + line.trim();
    } else {
      close();
      open = { kind: "p", texts: [line.trim()] };
    }
  }
  close();
  return out;
}

const marks = /`([^`]+)`|\[([^\]]+)\]\(([^()\s]+)\)|\*\*(?=\S)(.+?)\*\*|__(?=\S)(.+?)__|\*(?=\S)(.+?)\*|\b_(?=\S)(.+?)_\b|\\([\\`*_[\]()#+\-.!])/;

/** Strong, emphasis, code and links within a line. */
export function inline(text: string): Inline[] {
  const out: Inline[] = [];
  const add = (piece: Inline) => {
    if (typeof piece === "string" && typeof out.at(-1) === "string") out[out.length - 1] += piece;
    else if (piece !== "") out.push(piece);
  };
  let rest = text;
  for (let m = marks.exec(rest); m; m = marks.exec(rest)) {
    const [whole, code, name, url, strong1, strong2, em1, em2, escaped] = m;
    add(rest.slice(0, m.index));
    if (code !== undefined) add({ kind: "code", text: code });
    else if (url !== undefined) add({ kind: "link", url, inside: inline(name!) });
    else if (escaped !== undefined) add(escaped);
    else {
      const strong = strong1 ?? strong2;
      add({ kind: strong !== undefined ? "strong" : "em", inside: inline((strong ?? em1 ?? em2)!) });
    }
    rest = rest.slice(m.index + whole.length);
  }
  add(rest);
  return out;
}

/** The text without its marks. */
export function plain(list: Inline[]): string {
  return list.map((p) => (typeof p === "string" ? p : p.kind === "code" ? p.text : plain(p.inside))).join("");
}
