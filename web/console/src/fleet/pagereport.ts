// What an instance's native metrics page is made of.
import type { NativeReport, Page } from "../api/types";

export type Shown = "all" | "mapped" | "unmapped";

interface Summary {
  metrics: number;
  mapped: number;
  unmapped: number;
  unreadable: number;
}

/** Whether a native metric became a sample of a unified one. */
function isMapped(report: NativeReport): boolean {
  return report.outcomes.some((o) => o.samples > 0);
}

export function summary(page: Page): Summary {
  const mapped = page.metrics.filter(isMapped).length;
  return { metrics: page.metrics.length + page.metrics_left_out, mapped, unmapped: page.metrics.length - mapped, unreadable: page.metrics.reduce((n, m) => n + m.unreadable, 0) };
}

/** Reports that the search and the choice let through. The search looks in native and unified names and in reasons. */
export function reportsOf(page: Page, shown: Shown, search: string): NativeReport[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return page.metrics.filter((m) => {
    if (shown !== "all" && isMapped(m) !== (shown === "mapped")) return false;
    const texts = [m.name, m.type, m.why, ...m.outcomes.flatMap((o) => [o.family, o.why])];
    return words.every((word) => texts.some((text) => text.toLowerCase().includes(word)));
  });
}

/** A URL of an engine as a link, if it is http or https; anything else stays text. */
export function safeLink(url: string): string | undefined {
  try {
    const parsed = new URL(url);
    return parsed.protocol === "http:" || parsed.protocol === "https:" ? parsed.href : undefined;
  } catch {
    return undefined;
  }
}

/** The address of a dashboard with its variables. */
export function dashboard(uid: string, variables: Record<string, string | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(variables)) if (value !== undefined && value !== "") query.set("var-" + name, value);
  const text = query.toString();
  return `/d/${uid}/${uid}${text === "" ? "" : "?" + text}`;
}
