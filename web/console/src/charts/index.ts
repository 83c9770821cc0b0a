import type { Drawing } from "../model/panel";

const empty: Drawing = { component: () => null, rows: () => [] };

export const timeseries = empty;
export const heatmap = empty;
export const stateTimeline = empty;
