// The inventory's lists for the pages.
import { useMemo } from "preact/hooks";
import { useList, type Listed } from "../api/lists";
import { cluster, gpu, instance, items, model, worker, type GPU } from "../api/types";
import type { Inventory } from "./rows";

const clusterItems = items(cluster);
const workerItems = items(worker);
const modelItems = items(model);
const instanceItems = items(instance);
const gpuItems = items(gpu);

/** All lists; the inventory is undefined until each was read once. */
export function useInventory(): { inventory: Inventory | undefined; lists: readonly Listed<unknown>[] } {
  const clusters = useList("/v2/clusters", clusterItems);
  const workers = useList("/v2/workers", workerItems);
  const models = useList("/v2/models", modelItems);
  const instances = useList("/v2/model-instances", instanceItems);
  const inventory = useMemo(
    () =>
      clusters.items && workers.items && models.items && instances.items
        ? { clusters: clusters.items, workers: workers.items, models: models.items, instances: instances.items }
        : undefined,
    [clusters.items, workers.items, models.items, instances.items],
  );
  return { inventory, lists: [clusters, workers, models, instances] };
}

export function useGPUs(): Listed<GPU[]> {
  return useList("/v2/gpu-devices", gpuItems);
}
