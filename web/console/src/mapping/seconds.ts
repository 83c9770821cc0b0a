import { useEffect, useState } from "preact/hooks";

/** Whole seconds since something began to run. */
export function useSeconds(running: boolean): number {
  const [seconds, set] = useState(0);
  useEffect(() => {
    if (!running) return;
    const began = Date.now();
    set(0);
    const timer = setInterval(() => set(Math.floor((Date.now() - began) / 1000)), 500);
    return () => clearInterval(timer);
  }, [running]);
  return seconds;
}
