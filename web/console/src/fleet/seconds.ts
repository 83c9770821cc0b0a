import { useEffect, useState } from "preact/hooks";

/** Whole seconds since something began to run, up to `most`. */
export function useSeconds(running: boolean, most = 3600): number {
  const [seconds, set] = useState(0);
  useEffect(() => {
    if (!running) return;
    const began = Date.now();
    set(0);
    const timer = setInterval(() => {
      const now = Math.min(most, Math.floor((Date.now() - began) / 1000));
      set(now);
      if (now === most) clearInterval(timer);
    }, 500);
    return () => clearInterval(timer);
  }, [running, most]);
  return seconds;
}
