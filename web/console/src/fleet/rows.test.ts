import { describe, expect, test } from "vitest";
import { gpu, instance, model, worker, type GPU, type Instance, type Model, type Worker } from "../api/types";
import { joined } from "./metrics";
import { gpuRows, instanceRows, modelRows, modelState, workerRows, type Inventory } from "./rows";

const inst = (id: number, state: string, more: Partial<Instance> = {}): Instance => ({ ...instance({ id, worker_id: 1, model_id: 1, name: `i${id}`, state }, "$"), ...more });
const mod = (more: Partial<Model> = {}): Model => ({ ...model({ id: 1, cluster_id: 1, name: "m", desired_instances: 2 }, "$"), ...more });
const work = (more: Partial<Worker> = {}): Worker => ({ ...worker({ id: 1, cluster_id: 1, name: "w", state: "ready" }, "$"), ...more });
const fleet = (more: Partial<Inventory> = {}): Inventory => ({ clusters: [{ id: 1, name: "c", provider: "", state: "ready" }], workers: [work()], models: [mod()], instances: [], ...more });

describe("the state of a model", () => {
  test.each([
    [["running", "running"], "running"],
    [["running", "error"], "error"],
    [["starting", "running"], "starting"],
    [["running"], "incomplete"],
    [[], "incomplete"],
  ])("with instances %j is %s", (states, want) => expect(modelState(mod(), states.map((s, i) => inst(i, s)))).toBe(want));
  test("without any that it should have is idle", () => expect(modelState(mod({ desired_instances: 0 }), [])).toBe("idle"));
});

test("a model tells its worst instance, the one that is so for longest", () => {
  const instances = [inst(1, "running"), inst(2, "error", { since: "2026-02-01T00:00:00Z" }), inst(3, "error", { since: "2026-01-01T00:00:00Z", state_message: "refused" })];
  const [row] = modelRows(fleet({ instances }));
  expect(row).toMatchObject({ state: "error", running: 1, worstInstance: { id: 3 }, since: "2026-01-01T00:00:00Z", series: joined("c", "m") });
});

test("a model tells every engine that its instances run", () => {
  const runs = (id: number, runtime: string, runtime_version: string) => inst(id, "running", { runtime, runtime_version });
  const engines = (...instances: Instance[]) => modelRows(fleet({ models: [mod({ runtime: "vLLM", runtime_version: "0.9.2" })], instances }))[0]!.engines;
  expect(engines(runs(1, "vLLM", "0.23.0"), runs(2, "vLLM", "0.9.2"), runs(3, "vLLM", "0.9.2"), runs(4, "vLLM", ""))).toBe("vLLM 0.23.0, vLLM 0.9.2");
  expect(engines(runs(1, "SGLang", ""))).toBe("SGLang");
  expect(engines()).toBe("vLLM 0.9.2");
});

test("an instance whose model, worker and cluster are not known is there", () => {
  const [row] = instanceRows(fleet({ workers: [], models: [], instances: [inst(1, "error", { state_message: "401" })] }));
  expect(row).toMatchObject({ state: "error", workerName: "", clusterName: "" });
  expect(row).not.toHaveProperty("modelName");
});

test("an instance finds its series by cluster, worker and name", () => {
  expect(instanceRows(fleet({ instances: [inst(7, "running")] }))[0]!.series).toBe(joined("c", "w", "i7"));
});

test("a worker is found by its labels", () => {
  expect(workerRows(fleet({ workers: [work({ labels: { rack: "a1" } })] }))[0]!.search).toContain("rack=a1");
});

describe("GPUs", () => {
  const series = (labels: Record<string, string>) => ({ labels: { cluster_name: "c", worker_name: "w", gpu_index: "0", gpu_chip_index: "0", ...labels }, times: [1], values: [1] });
  test("of the inventory take their users from the attribution where the list has none", () => {
    const devices: GPU[] = [gpu({ id: "w:nvidia:0", worker_id: 1, worker_name: "w", vendor: "nvidia", index: 0, name: "H100", state: "present", memory: { total: 80 } }, "$")];
    const [row] = gpuRows(devices, [], [series({ model_instance_name: "i1" }), series({ model_instance_name: "x" })], fleet({ instances: [inst(1, "running")] }));
    expect(row).toMatchObject({ state: "present", total: 80, users: [{ name: "i1", id: 1 }, { name: "x" }] });
    expect(row!.users[1]).not.toHaveProperty("id");
  });
  test("that need action say so", () => {
    const device = (more: object) => gpuRows([gpu({ id: "1:nvidia:0", worker_id: 1, index: 0, state: "present", ...more }, "$")], [], [], fleet())[0]!;
    expect(device({ recommended_action: "reset", action_reason: "XID 94" })).toMatchObject({ state: "needs_action", reason: "reset the GPU: XID 94" });
    expect(device({ recommended_action: "replace", state: "missing", state_message: "gone" })).toMatchObject({ state: "missing", reason: "gone · replace the GPU" });
  });
  test("name their own users before the attribution's", () => {
    const users = [{ model_instance_id: 9, model_instance_name: "i9" }];
    expect(gpuRows([gpu({ id: "1:nvidia:0", worker_id: 1, worker_name: "w", index: 0, state: "present", users }, "$")], [], [series({ model_instance_name: "x" })], fleet())[0]!.users).toEqual([{ id: 9, name: "i9" }]);
  });
  test("of an older server come from their info series", () => {
    expect(gpuRows(undefined, [series({ gpu_name: "A", vendor: "amd" })], [], fleet())[0]).toMatchObject({ name: "A", state: "unknown", workerID: 1, index: 0 });
  });
});
