// Pictures and files of panels. Loaded when somebody asks for one.
import type { Drawing, DrawingProps, Range } from "../model/panel";
import { t } from "../texts";
import { csv, fileName } from "./csv";
import { clock } from "./timepicker";

const head = 34;
const foot = 24;
const scale = 2;

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A panel as a picture: its title, its body, and the time range. */
export async function picture(title: string, drawing: Drawing, props: DrawingProps, body: HTMLElement): Promise<Blob> {
  const width = Math.ceil(props.width);
  const height = Number.isFinite(props.height) ? Math.ceil(props.height) : body.clientHeight;
  const canvas = document.createElement("canvas");
  canvas.width = (width + 16) * scale;
  canvas.height = (height + head + foot) * scale;
  const ctx = canvas.getContext("2d");
  if (!ctx) throw new Error("no canvas");
  const family = getComputedStyle(document.body).fontFamily;
  ctx.scale(scale, scale);
  ctx.fillStyle = css("--surface");
  ctx.fillRect(0, 0, width + 16, height + head + foot);
  ctx.fillStyle = css("--text");
  ctx.font = `600 14px ${family}`;
  ctx.fillText(title, 8, 22, width);
  ctx.fillStyle = css("--dim");
  ctx.font = `11px ${family}`;
  ctx.fillText(rangeText(props.data.range), 8, head + height + 16, width);
  ctx.save();
  ctx.translate(8, head);
  ctx.beginPath();
  ctx.rect(0, 0, width, height);
  ctx.clip();
  if (drawing.paint) await drawing.paint(ctx, { ...props, height });
  else copyCanvases(ctx, body);
  ctx.restore();
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
  if (!blob) throw new Error("no picture");
  return blob;
}

function copyCanvases(ctx: CanvasRenderingContext2D, body: HTMLElement): void {
  const origin = body.getBoundingClientRect();
  for (const c of body.querySelectorAll("canvas")) {
    const at = c.getBoundingClientRect();
    if (at.width > 0 && at.height > 0) ctx.drawImage(c, at.x - origin.x, at.y - origin.y, at.width, at.height);
  }
}

function rangeText(range: Range): string {
  return t.shell.range(clock(range.from, 0), clock(range.to, 0)) + " · " + Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** Copies a picture, or saves it where the browser lets nothing be copied. Returns what was done. */
export async function copyPicture(title: string, drawing: Drawing, props: DrawingProps, body: HTMLElement): Promise<string> {
  const blob = picture(title, drawing, props, body);
  if (typeof ClipboardItem !== "undefined" && navigator.clipboard?.write) {
    try {
      await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
      return t.shell.copied;
    } catch {
      // not allowed: save it
    }
  }
  save(await blob, fileName(title, "png"));
  return t.shell.saved;
}

export function saveCSV(title: string, drawing: Drawing, props: DrawingProps): string {
  // The mark of UTF-8 makes spreadsheets read it as that.
  save(new Blob(["\ufeff", csv(drawing.rows(props.panel, props.data))], { type: "text/csv;charset=utf-8" }), fileName(title, "csv"));
  return t.shell.saved;
}

export async function copyText(text: string): Promise<string> {
  if (navigator.clipboard?.writeText) {
    await navigator.clipboard.writeText(text);
    return t.shell.copied;
  }
  // The clipboard needs https; this older way works on http, too.
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "hidden-text";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error(text);
  return t.shell.copied;
}

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
