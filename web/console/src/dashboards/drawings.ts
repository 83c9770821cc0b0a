import { barGauge, stat, table, text } from "../cells";
import { heatmap, stateTimeline, timeseries } from "../charts";
import type { Kind } from "../model/dashboard";
import type { Drawing } from "../model/panel";

export const drawings: Record<Kind, Drawing> = { stat, bargauge: barGauge, table, text, timeseries, heatmap, "state-timeline": stateTimeline };
