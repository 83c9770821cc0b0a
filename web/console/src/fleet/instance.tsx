import type { Place } from "../router";

export function InstancePage(_: { id: number; place: Place }) {
  return null;
}
