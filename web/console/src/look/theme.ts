// Light or dark. The choice is kept in localStorage; without one the theme follows the system.
import { useEffect, useState } from "preact/hooks";
import type { Theme } from "../model/panel";

export type Choice = Theme | "system";

const key = "stackscope-theme";
const changed = new EventTarget();
const system = () => matchMedia("(prefers-color-scheme: dark)");

function stored(): Choice {
  try {
    const value = localStorage.getItem(key);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

let choice: Choice = typeof localStorage === "undefined" ? "system" : stored();

/** What the viewer chose. */
export function getChoice(): Choice {
  return choice;
}

/** The theme that is shown. */
function getTheme(): Theme {
  if (choice !== "system") return choice;
  return system().matches ? "dark" : "light";
}

export function setTheme(next: Choice): void {
  choice = next;
  try {
    if (next === "system") localStorage.removeItem(key);
    else localStorage.setItem(key, next);
  } catch {
    // storage is turned off: the choice lives until the page is loaded again
  }
  applyTheme();
  changed.dispatchEvent(new Event("change"));
}

/** Writes the choice to the document. */
function applyTheme(): void {
  if (choice === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
}

/** The theme that is shown; the component draws itself again when it changes. */
export function useTheme(): Theme {
  const [theme, set] = useState(getTheme);
  useEffect(() => {
    const follow = () => set(getTheme());
    const query = system();
    follow();
    changed.addEventListener("change", follow);
    query.addEventListener("change", follow);
    return () => {
      changed.removeEventListener("change", follow);
      query.removeEventListener("change", follow);
    };
  }, []);
  return theme;
}

if (typeof document !== "undefined") applyTheme(); // before the first drawing
