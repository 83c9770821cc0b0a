// Printing: what is out of sight is loaded before.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Busy } from "./board";

/** How the page prints. left: how many loads are under way before the print; absent where none is prepared. */
export function usePrint(busy: Busy): { printing: boolean; left?: number; print(): void } {
  const [printing, setPrinting] = useState(false);
  const [left, setLeft] = useState<number | undefined>();
  const asked = useRef(false);
  const recolour = useRef<(() => void) | undefined>(undefined);
  const begin = () => {
    recolour.current ??= whiten(); // before the charts draw: they read the page's colours
    setPrinting(true);
  };
  useEffect(() => {
    const colour = () => {
      recolour.current?.();
      recolour.current = undefined;
    };
    const before = begin; // by the browser's menu: what is not loaded comes too late for this print
    const after = () => {
      colour();
      asked.current = false;
      setPrinting(false);
      setLeft(undefined);
    };
    addEventListener("beforeprint", before);
    addEventListener("afterprint", after);
    return () => {
      removeEventListener("beforeprint", before);
      removeEventListener("afterprint", after);
      colour();
    };
  }, []);
  useEffect(() => {
    if (!printing || !asked.current) return;
    let timer: ReturnType<typeof setTimeout>;
    const look = () => {
      clearTimeout(timer);
      setLeft(busy.count);
      // Panels begin their loads, and draw, in the frames after a change.
      if (busy.count === 0) timer = setTimeout(() => busy.count === 0 && window.print(), 400);
    };
    const end = busy.watch(look);
    look();
    return () => {
      clearTimeout(timer);
      end();
    };
  }, [printing, busy]);
  return {
    printing,
    ...(left !== undefined && { left }),
    print: () => {
      asked.current = true;
      begin();
    },
  };
}

/** Gives the page the light theme, as paper is white; what is returned gives it back its own. */
function whiten(): () => void {
  const root = document.documentElement;
  const theme = root.dataset["theme"];
  root.dataset["theme"] = "light";
  return () => {
    if (theme === undefined) delete root.dataset["theme"];
    else root.dataset["theme"] = theme;
  };
}
