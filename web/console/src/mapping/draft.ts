// The text that is being edited, kept in sessionStorage: it survives going elsewhere and loading the page again, in this tab.

export interface Draft {
  text: string;
  /** The generation that the text is based on. */
  base: number;
}

const key = "stackscope-mapping-draft";

/** Longest text that is kept: the largest document that a server takes. Browsers keep about 5 MiB of UTF-16 for each site. */
export const mostDraft = 4 << 20;

type Store = Pick<Storage, "getItem" | "setItem" | "removeItem">;

function session(): Store | undefined {
  try {
    return sessionStorage;
  } catch {
    return undefined; // storage is turned off
  }
}

export function loadDraft(store = session()): Draft | undefined {
  try {
    const value = JSON.parse(store?.getItem(key) ?? "null") as Partial<Draft> | null;
    if (typeof value?.text === "string" && Number.isSafeInteger(value.base)) return { text: value.text, base: value.base! };
  } catch {
    // storage is turned off, or somebody else wrote there
  }
  return undefined;
}

/** Whether the text is kept. One that cannot be kept leaves none behind: an older one would be taken for it. */
export function keepDraft(draft: Draft, store = session()): boolean {
  try {
    if (!store) return false;
    if (draft.text.length <= mostDraft) {
      store.setItem(key, JSON.stringify(draft));
      return true;
    }
  } catch {
    // there is no room
  }
  dropDraft(store);
  return false;
}

export function dropDraft(store = session()): void {
  try {
    store?.removeItem(key);
  } catch {
    // storage is turned off
  }
}
