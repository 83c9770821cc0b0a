// Numbers with units, names of series, meanings and colours of values.
export { format, formatAxis, parts, type Parts } from "./number";
export { mapped, thresholdColor, type Meaning } from "./values";
export { seriesName } from "./name";
export { canvasColor, color, palette } from "./colors";
