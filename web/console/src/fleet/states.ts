// States of the inventory: how bad they are.

type Tone = "bad" | "warn" | "busy" | "good" | "dim";

/** Worst first; what is not listed comes after "unreachable". Sources: internal/fleet/fleet.go, dashboards/models_instances.go. */
export const order = [
  "error", "unreachable", "missing", "not_ready", "incomplete", "needs_action", "deleting", "pending", "analyzing", "scheduled", "initializing", "provisioning", "downloading", "starting",
  "maintenance", "idle", "unknown", "provisioned", "running", "ready", "present", "ok",
];

const tones: Record<string, Tone> = {
  error: "bad", unreachable: "bad", missing: "bad", not_ready: "warn", incomplete: "warn", needs_action: "warn", deleting: "warn", pending: "warn",
  analyzing: "busy", scheduled: "busy", initializing: "busy", provisioning: "busy", downloading: "busy", starting: "busy", maintenance: "busy",
  running: "good", ready: "good", present: "good", provisioned: "good", ok: "good",
};

/** 0 is the worst. */
export function rank(state: string): number {
  const at = order.indexOf(state);
  return at < 0 ? 2 : at;
}

export function tone(state: string): Tone {
  return Object.hasOwn(tones, state) ? tones[state]! : "dim"; // the URL may name any state
}

/** Whether somebody should look. */
export function isProblem(state: string): boolean {
  return tone(state) === "bad" || tone(state) === "warn";
}

/** The worst of several; undefined of none. */
export function worst(states: readonly string[]): string | undefined {
  return states.reduce<string | undefined>((w, s) => (w === undefined || rank(s) < rank(w) ? s : w), undefined);
}
