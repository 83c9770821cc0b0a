// A text panel.
import type { ComponentChild } from "preact";
import { useMemo } from "preact/hooks";
import { canvasColor } from "../format";
import type { DrawingProps } from "../model/panel";
import { family, px } from "./fit";
import { blocks, plain, type Inline } from "./markdown";

export function Text({ panel, height, link }: DrawingProps) {
  const tree = useMemo(() => blocks(panel.markdown ?? ""), [panel.markdown]);
  const inline = (list: Inline[]): ComponentChild =>
    list.map((piece) => {
      if (typeof piece === "string") return piece;
      switch (piece.kind) {
        case "strong":
          return <strong>{inline(piece.inside)}</strong>;
        case "em":
          return <em>{inline(piece.inside)}</em>;
        case "code":
          return <code>{piece.text}</code>;
        case "link": {
          const url = link(piece.url, {}, {});
          return url ? <a href={url}>{inline(piece.inside)}</a> : <>{inline(piece.inside)}</>;
        }
      }
    });
  return (
    <div class="c-text" style={{ maxHeight: px(height) }}>
      {tree.map((b) => {
        switch (b.kind) {
          case "p":
            return <p>{inline(b.inside)}</p>;
          case "h":
            return <h3>{inline(b.inside)}</h3>;
          default: {
            const List = b.kind;
            return (
              <List>
                {b.items.map((i) => (
                  <li>{inline(i)}</li>
                ))}
              </List>
            );
          }
        }
      })}
    </div>
  );
}

export function paintText(ctx: CanvasRenderingContext2D, { panel, width, height }: DrawingProps): void {
  ctx.fillStyle = canvasColor("text");
  ctx.font = `14px ${family}`;
  ctx.textBaseline = "top";
  let y = 0;
  const draw = (text: string) => {
    let line = "";
    for (const word of text.split(" ")) {
      const longer = line ? line + " " + word : word;
      if (line && ctx.measureText(longer).width > width) {
        ctx.fillText(line, 0, y);
        y += 20;
        line = word;
      } else line = longer;
    }
    ctx.fillText(line, 0, y);
    y += 26;
  };
  for (const b of blocks(panel.markdown ?? "")) {
    if (y > height) return;
    if ("items" in b) b.items.forEach((item, i) => draw((b.kind === "ol" ? `${i + 1}. ` : "• ") + plain(item)));
    else draw(plain(b.inside));
  }
}
