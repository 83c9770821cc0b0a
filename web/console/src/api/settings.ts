// What the server says about itself, asked once.
import { useEffect } from "preact/hooks";
import { json } from "./request";
import { settings, type Settings } from "./types";
import { useValue, Value } from "./value";

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
