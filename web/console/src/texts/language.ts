// The language of the console. The choice is kept in localStorage; without one it is the first of the browser's languages that there is.
import { speak } from ".";

export type Language = "en" | "zh";

/** Each by its own name. */
export const languages: Record<Language, string> = { en: "English", zh: "简体中文" };

const key = "stackscope-language";

/** The language to show: the chosen one, else the first of the browser's that the console has, else English. */
export function pick(chosen: string | null, wanted: readonly string[]): Language {
  for (const tag of [chosen ?? "", ...wanted]) {
    const name = tag.toLowerCase().split("-")[0]!;
    if (Object.hasOwn(languages, name)) return name as Language;
  }
  return "en";
}

function stored(): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // storage is turned off
  }
}

let shown: Language = "en";

export const getLanguage = () => shown;

/** Keeps the choice and loads the page again: texts are read when modules are evaluated, too. */
export function setLanguage(language: Language): void {
  try {
    localStorage.setItem(key, language);
  } catch {
    return; // storage is turned off, and a choice would be lost with the page
  }
  location.reload();
}

/** Loads the texts of the viewer's language; without them (the server stopped) the console is English. */
export async function loadLanguage(language = pick(stored(), navigator.languages)): Promise<void> {
  if (language === "zh") speak((await import("./zh")).texts);
  shown = language;
  document.documentElement.lang = language === "zh" ? "zh-CN" : language;
}
