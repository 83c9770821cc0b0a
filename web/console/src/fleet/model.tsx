import type { Place } from "../router";

export function ModelPage(_: { id: number; place: Place }) {
  return null;
}
