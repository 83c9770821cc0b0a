// A text panel.
import type { ComponentChild } from "preact";
import { useMemo } from "preact/hooks";
import type { DrawingProps } from "../model/panel";
import { px } from "./fit";
import { blocks, type Inline } from "./markdown";

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
