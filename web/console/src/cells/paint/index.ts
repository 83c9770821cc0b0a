// The panels as pictures. Loaded when somebody asks for one.
export { paintBarGauge } from "./bargauge";
export { paintStat } from "./stat";
export { paintTable } from "./table";
export { paintText } from "./text";
