// Whether the server answers, for the header.
import { Value } from "./value";

/** Since when the server does not answer, milliseconds since the epoch; undefined: it does. */
export const unreachableSince = new Value<number | undefined>(undefined);

export function reached(): void {
  unreachableSince.set(undefined);
}

export function unreachable(): void {
  if (unreachableSince.get() === undefined) unreachableSince.set(Date.now());
}
