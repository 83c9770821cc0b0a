// The metrics page of the chosen instance, read by its worker.
import { useEffect, useState } from "preact/hooks";
import { json } from "../api/request";
import { page as check, type Page } from "../api/types";

export interface InstancePage {
  page?: Page;
  error?: string;
  reading: boolean;
  again(): void;
}

export function useInstancePage(id: number | undefined): InstancePage {
  const [read, set] = useState<{ id?: number; page?: Page; error?: string; reading: boolean }>({ reading: false });
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (id === undefined) return set({ reading: false });
    const abort = new AbortController();
    set((before) => ({ ...(before.id === id ? before : {}), id, reading: true }));
    json(`/v2/model-instances/${id}/page`, check, { signal: abort.signal }).then(
      (page) => set({ id, page, reading: false }),
      (e: unknown) => abort.signal.aborted || set({ id, error: e instanceof Error ? e.message : String(e), reading: false }),
    );
    return () => abort.abort();
  }, [id, round]);
  const { page, error, reading } = read.id === id ? read : { page: undefined, error: undefined, reading: true };
  return { reading, again: () => setRound((n) => n + 1), ...(page ? { page } : {}), ...(error !== undefined ? { error } : {}) };
}
