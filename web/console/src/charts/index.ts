// Panels that draw values over time.
import "./charts.css";

export { timeseries } from "./timeseries";
export { heatmap } from "./heatmap";
export { stateTimeline } from "./timeline";
