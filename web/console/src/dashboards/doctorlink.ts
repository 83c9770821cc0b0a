// Where the doctor looks for the data that a panel lacks.
import { variablesIn } from "../prometheus/template";
import { selectorsIn } from "./selectors";
import { all, type Chosen } from "./variables";

/** The variables that name something of the inventory, and what the doctor calls it. */
const kinds = { model_instance_name: "instance", model_name: "model", worker_name: "worker" } as const;

/**
 * The doctor's page about the first unified metric of expressions (variables not filled in), and about the instance, model or worker
 * that is chosen alone, if the expressions depend on it.
 */
export function doctorLink(exprs: readonly string[], chosen: readonly Chosen[]): string {
  const query = new URLSearchParams();
  const metric = exprs.flatMap(selectorsIn)[0]?.metric;
  if (metric !== undefined && /^gpustack:[\w:]+$/.test(metric)) query.set("metric", metric);
  const used = new Set(exprs.flatMap(variablesIn));
  const one = (variable: keyof typeof kinds) => {
    const values = chosen.find((c) => c.variable.name === variable)?.values ?? [];
    return used.has(variable) && values.length === 1 && values[0] !== all ? values[0] : undefined;
  };
  for (const variable of ["model_instance_name", "model_name", "worker_name"] as const) {
    const value = one(variable);
    if (value === undefined) continue;
    query.set(kinds[variable], value);
    const worker = one("worker_name");
    if (variable === "model_instance_name" && worker !== undefined) query.set("worker", worker); // two workers may have instances of one name
    break;
  }
  const text = query.toString();
  return "/doctor" + (text === "" ? "" : "?" + text);
}
