// The server's time: samples have it, and the viewer's clock may differ.

/** Smaller differences are those of the network and of whole seconds in the header. */
const least = 5000; // ms

let ahead = 0; // of this clock, ms

/** Takes the time of an answer. */
export function heard(response: Response): void {
  const at = Date.parse(response.headers.get("Date") ?? "");
  if (Number.isNaN(at)) return;
  const by = at - Date.now();
  ahead = Math.abs(by) < least ? 0 : by;
}

/** The server's time, milliseconds since the epoch. */
export function serverNow(): number {
  return Date.now() + ahead;
}
