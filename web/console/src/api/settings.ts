// What the server says about itself, asked once.
import { useEffect } from "preact/hooks";
import { flag, orEmpty, shape } from "./check";
import { json } from "./request";
import { useValue, Value } from "./value";

const settings = shape({
  version: orEmpty,
  prometheus: shape({ available: flag, ui: orEmpty, reason: orEmpty }),
  grafana: shape({ phase: orEmpty, url: orEmpty, reason: orEmpty }),
  join_command: orEmpty,
});
export type Settings = ReturnType<typeof settings>;

const known = new Value<Settings | undefined>(undefined);
let asking: Promise<Settings | undefined> | undefined;

/** The settings; undefined if the server is older, or does not answer. */
export function getSettings(): Promise<Settings | undefined> {
  asking ??= json("/console/settings", settings).then(
    (s) => {
      known.set(s);
      return s;
    },
    () => {
      asking = undefined;
      return undefined;
    },
  );
  return asking;
}

export function useSettings(): Settings | undefined {
  useEffect(() => void getSettings(), []);
  return useValue(known);
}
