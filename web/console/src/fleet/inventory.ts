// The inventory's lists for the pages.
import { useMemo, useRef } from "preact/hooks";
import { useList, type Listed } from "../api/lists";
import { cluster, gpu, instance, items, model, worker, type GPU, type Worker } from "../api/types";
import type { Inventory } from "./rows";

const clusterItems = items(cluster);
const workerItems = items(worker);
const modelItems = items(model);
const instanceItems = items(instance);
const gpuItems = items(gpu);

/**
 * All lists; the inventory is undefined until each was read once. It changes with each report of a worker only where the time of
 * the reports is asked for: a large fleet reports all the time.
 */
export function useInventory(reports = false): { inventory: Inventory | undefined; lists: readonly Listed<unknown>[] } {
  const clusters = useList("/v2/clusters", clusterItems);
  const workers = useList("/v2/workers", workerItems);
  const models = useList("/v2/models", modelItems);
  const instances = useList("/v2/model-instances", instanceItems);
  const quiet = useQuiet(workers.items);
  const seen = reports ? workers.items : quiet;
  const inventory = useMemo(
    () => (clusters.items && seen && models.items && instances.items ? { clusters: clusters.items, workers: seen, models: models.items, instances: instances.items } : undefined),
    [clusters.items, seen, models.items, instances.items],
  );
  return { inventory, lists: [clusters, workers, models, instances] };
}

/** The workers without the time of their last report: the same object until something else changes. */
function useQuiet(workers: readonly Worker[] | undefined): readonly Worker[] | undefined {
  const kept = useRef<{ text: string; workers: readonly Worker[] }>(undefined);
  return useMemo(() => {
    if (!workers) return undefined;
    const without = workers.map((w): Worker => ({ ...w, last_report_at: undefined }));
    const text = JSON.stringify(without);
    if (kept.current?.text !== text) kept.current = { text, workers: without };
    return kept.current.workers;
  }, [workers]);
}

export function useGPUs(): Listed<GPU[]> {
  return useList("/v2/gpu-devices", gpuItems);
}
