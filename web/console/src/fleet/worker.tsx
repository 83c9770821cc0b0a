import type { Place } from "../router";

export function WorkerPage(_: { id: number; place: Place }) {
  return null;
}
