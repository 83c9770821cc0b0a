import { l } from "../texts/lists";
import type { ModelRow } from "./rows";

/** Why a model is as it is. */
export function modelReason(row: ModelRow): string {
  if (row.worstInstance) return [row.worstInstance.name, row.worstInstance.state_message || (l.stateNames[row.worstInstance.state] ?? row.worstInstance.state)].join(": ");
  if (row.state === "incomplete") return l.missingInstances(row.item.desired_instances - row.running);
  return row.state === "idle" ? l.idle : "";
}
