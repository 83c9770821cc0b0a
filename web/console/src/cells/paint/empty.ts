import { canvasColor } from "../../format";
import type { Panel } from "../../model/dashboard";
import { emptyText } from "../empty";
import { family } from "../fit";

export function paintEmpty(ctx: CanvasRenderingContext2D, panel: Panel, width: number, height: number): void {
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.fillStyle = canvasColor("dim");
  ctx.font = `14px ${family}`;
  ctx.fillText(emptyText(panel), width / 2, height / 2);
}
