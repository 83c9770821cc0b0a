import { canvasColor } from "../../format";
import type { DrawingProps } from "../../model/panel";
import { family } from "../fit";
import { blocks, plain } from "../markdown";

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
