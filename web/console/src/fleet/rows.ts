// Rows of the lists: the inventory joined by ids.
import type { Cluster, GPU, Instance, Model, Worker } from "../api/types";
import type { Labels, Series } from "../model/panel";
import { l } from "../texts/lists";
import type { Row } from "./filters";
import { joined } from "./metrics";
import { rank, worst } from "./states";

export interface Inventory {
  clusters: readonly Cluster[];
  workers: readonly Worker[];
  models: readonly Model[];
  instances: readonly Instance[];
}

function byID<T extends { id: number }>(items: readonly T[]): Map<number, T> {
  return new Map(items.map((item) => [item.id, item]));
}

function group<T>(items: readonly T[], of: (item: T) => number | undefined): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const key = of(item);
    if (key === undefined) continue;
    const members = groups.get(key);
    if (members) members.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

export interface InstanceRow extends Row {
  instance: Instance;
  workerName: string;
  clusterName: string;
  /** Absent of a gateway, and while it is not known. */
  modelName?: string;
  /** Key of its series. */
  series: string;
}

export function instanceRows(from: Inventory): InstanceRow[] {
  const workers = byID(from.workers);
  const clusters = byID(from.clusters);
  const models = byID(from.models);
  return from.instances.map((instance) => {
    const worker = workers.get(instance.worker_id);
    const cluster = worker && clusters.get(worker.cluster_id);
    const model = instance.model_id === undefined ? undefined : models.get(instance.model_id);
    const workerName = worker?.name ?? "";
    const clusterName = cluster?.name ?? "";
    return {
      key: `${instance.name} ${workerName} ${instance.id}`,
      state: instance.state,
      search: [instance.name, workerName, clusterName, model?.name ?? "", instance.state_message, instance.runtime, instance.url, instance.role, instance.group],
      worker: workerName,
      cluster: clusterName,
      ...(model ? { model: model.name, modelName: model.name } : {}),
      instance,
      workerName,
      clusterName,
      series: joined(clusterName, workerName, instance.name),
    };
  });
}

export interface ModelRow extends Row {
  item: Model;
  clusterName: string;
  instances: readonly Instance[];
  running: number;
  /** Engines with their versions, as its instances have them. */
  engines: string;
  /** The instance that is worst off; absent if all run. */
  worstInstance?: Instance;
  /** When the state began, as the API has it. */
  since?: string;
  series: string;
}

/** How a model is: as its worst instance is, or incomplete if instances that it should have are not there. */
export function modelState(model: Model, instances: readonly Instance[]): string {
  const of = worst(instances.map((i) => i.state));
  if (of !== undefined && of !== "running") return of;
  const running = instances.filter((i) => i.state === "running").length;
  if (running < model.desired_instances) return "incomplete";
  return running > 0 ? "running" : "idle";
}

/** The engines that a model's instances run, each once; as the API has it for the model if none tells its own. */
function enginesOf(model: Model, instances: readonly Instance[]): string {
  const name = (of: { runtime: string; runtime_version: string }) => `${of.runtime} ${of.runtime_version}`.trim();
  const told = instances.filter((i) => i.runtime !== "" && (i.runtime_version !== "" || !instances.some((o) => o.runtime === i.runtime && o.runtime_version !== "")));
  return [...new Set(told.map(name))].sort().join(", ") || name(model);
}

export function modelRows(from: Inventory): ModelRow[] {
  const clusters = byID(from.clusters);
  const groups = group(from.instances, (i) => i.model_id);
  return from.models.map((model) => {
    const clusterName = clusters.get(model.cluster_id)?.name ?? "";
    const instances = groups.get(model.id) ?? [];
    const [first] = [...instances].sort((a, b) => rank(a.state) - rank(b.state) || (a.since ?? "").localeCompare(b.since ?? ""));
    const sick = first && first.state !== "running" ? first : undefined;
    const since = first?.since;
    return {
      key: `${model.name} ${model.id}`,
      state: modelState(model, instances),
      search: [model.name, clusterName, model.category, model.runtime, model.source_key, ...instances.map((i) => i.name)],
      cluster: clusterName,
      item: model,
      clusterName,
      instances,
      running: instances.filter((i) => i.state === "running").length,
      engines: enginesOf(model, instances),
      ...(sick ? { worstInstance: sick } : {}),
      ...(since === undefined ? {} : { since }),
      series: joined(clusterName, model.name),
    };
  });
}

export interface WorkerRow extends Row {
  item: Worker;
  clusterName: string;
  instances: readonly Instance[];
  series: string;
}

export function workerRows(from: Inventory): WorkerRow[] {
  const clusters = byID(from.clusters);
  const groups = group(from.instances, (i) => i.worker_id);
  return from.workers.map((worker) => {
    const clusterName = clusters.get(worker.cluster_id)?.name ?? "";
    return {
      key: `${worker.name} ${worker.id}`,
      state: worker.state,
      search: [worker.name, worker.address, clusterName, worker.state_message, worker.version, ...Object.entries(worker.labels).map(([k, v]) => `${k}=${v}`)],
      cluster: clusterName,
      item: worker,
      clusterName,
      instances: groups.get(worker.id) ?? [],
      series: joined(clusterName, worker.name),
    };
  });
}

/** What a GPU is used by. */
interface GPUUser {
  name: string;
  /** Id of the instance; absent if the inventory does not know it. */
  id?: number;
}

export interface GPURow extends Row {
  workerName: string;
  workerID?: number;
  clusterName: string;
  index: number;
  chip: number;
  name: string;
  vendor: string;
  uuid: string;
  reason: string;
  total?: number;
  users: readonly GPUUser[];
  series: string;
}

/** Key of a GPU's series. */
export function gpuKey(labels: Labels): string {
  return joined(labels.cluster_name ?? "", labels.worker_name ?? "", labels.gpu_index ?? "", labels.gpu_chip_index ?? "");
}

/** Instances by GPU, from the attribution's series. */
function usersOf(series: readonly Series[], from: Inventory): Map<string, GPUUser[]> {
  const workers = byID(from.workers);
  const ids = new Map(from.instances.map((i) => [joined(workers.get(i.worker_id)?.name ?? "", i.name), i.id]));
  const users = new Map<string, GPUUser[]>();
  for (const { labels } of series) {
    const key = gpuKey(labels);
    const name = labels.model_instance_name ?? "";
    const id = ids.get(joined(labels.worker_name ?? "", name));
    users.set(key, [...(users.get(key) ?? []), { name, ...(id === undefined ? {} : { id }) }]);
  }
  return users;
}

/** GPUs of the inventory; where the server has no such list, those that Prometheus knows by their info series. */
export function gpuRows(devices: readonly GPU[] | undefined, info: readonly Series[], attributed: readonly Series[], from: Inventory): GPURow[] {
  const clusters = byID(from.clusters);
  const workers = byID(from.workers);
  const used = usersOf(attributed, from);
  const finish = (g: Omit<GPURow, keyof Row | "users" | "series">, state: string, own: readonly GPUUser[]): GPURow => {
    const series = joined(g.clusterName, g.workerName, String(g.index), String(g.chip));
    const users = own.length > 0 ? own : (used.get(series) ?? []);
    return {
      ...g,
      key: `${g.workerName} ${g.index}.${g.chip}`,
      state,
      search: [g.workerName, g.name, g.vendor, g.uuid, g.reason, ...users.map((u) => u.name)],
      cluster: g.clusterName,
      worker: g.workerName,
      users,
      series,
    };
  };
  if (devices) {
    return devices.map((d) => {
      const worker = workers.get(d.worker_id);
      const total = d.memory?.total;
      const own = (d.users ?? []).map((u) => ({ name: u.model_instance_name, id: u.model_instance_id }));
      const action = d.recommended_action === "" ? "" : [l.actions[d.recommended_action] ?? d.recommended_action, d.action_reason].filter(Boolean).join(": ");
      return finish(
        {
          workerName: d.worker_name || (worker?.name ?? ""), workerID: d.worker_id, clusterName: (worker && clusters.get(worker.cluster_id)?.name) ?? "",
          index: d.index, chip: d.chip_index, name: d.name, vendor: d.vendor, uuid: d.uuid, reason: [d.state_message, action].filter(Boolean).join(" · "), ...(total === undefined ? {} : { total }),
        },
        action !== "" && d.state === "present" ? "needs_action" : d.state || "unknown",
        own,
      );
    });
  }
  const ids = new Map(from.workers.map((w) => [w.name, w.id]));
  return info.map(({ labels }) => {
    const workerName = labels.worker_name ?? "";
    const workerID = ids.get(workerName);
    return finish(
      {
        workerName, ...(workerID === undefined ? {} : { workerID }), clusterName: labels.cluster_name ?? "", index: Number(labels.gpu_index ?? 0), chip: Number(labels.gpu_chip_index ?? 0),
        name: labels.gpu_name ?? "", vendor: labels.vendor ?? "", uuid: labels.uuid ?? "", reason: "",
      },
      "unknown",
      [],
    );
  });
}
