import type { Drawing } from "../model/panel";

const empty: Drawing = { component: () => null, rows: () => [] };

export const stat = empty;
export const barGauge = empty;
export const table = empty;
export const text = empty;
