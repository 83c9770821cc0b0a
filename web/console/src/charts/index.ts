// Panels that draw values over time.
import "./charts.css";
import { later } from "./later";

export { timeseries } from "./timeseries";
export const heatmap = later(() => import("./heatmap").then((m) => m.heatmap));
export const stateTimeline = later(() => import("./timeline").then((m) => m.stateTimeline));
