import type { Panel } from "../model/dashboard";
import { t } from "../texts";
import { dash } from "./columns";
import { px } from "./fit";

/** What a panel without values says. */
export function emptyText(panel: Panel): string {
  return panel.noValue && panel.noValue !== dash ? panel.noValue : t.cells.noData;
}

/** In place of a panel's values; good: absence is good news. */
export function Empty({ panel, height, good }: { panel: Panel; height: number; good?: boolean }) {
  return (
    <div class={good ? "c-empty c-good" : "c-empty"} style={{ height: px(height) }}>
      {good && (
        <svg viewBox="0 0 24 24" width="28" height="28" aria-hidden="true">
          <circle cx="12" cy="12" r="10" fill="none" stroke="currentColor" stroke-width="2" />
          <path d="M7.5 12.5l3 3 6-6.5" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" />
        </svg>
      )}
      <span>{emptyText(panel)}</span>
    </div>
  );
}
