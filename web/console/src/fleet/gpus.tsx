import { useMemo } from "preact/hooks";
import type { PageProps } from "../app";
import { l } from "../texts/lists";
import { gpus as expressions } from "./expressions";
import { gpuColumns } from "./gpucolumns";
import { useGPUs, useInventory } from "./inventory";
import { List } from "./list";
import { sparkPoints, useMetrics } from "./metrics";
import { Empty, useHasMetrics } from "./parts";
import { gpuRows } from "./rows";

const now = [expressions.info(), expressions.users(), expressions.used(), expressions.total(), expressions.temperature(), expressions.power()];
const over = [expressions.busy()];

export default function Page({ place }: PageProps) {
  const { inventory, lists } = useInventory();
  const devices = useGPUs();
  const metrics = useHasMetrics();
  const values = useMetrics(metrics ? now : [], 0);
  const busy = useMetrics(metrics ? over : [], 1800, sparkPoints(devices.items?.length ?? 0));
  const rows = useMemo(() => {
    if (!inventory) return undefined;
    if (devices.older) return metrics && !values.answers && !values.error ? undefined : gpuRows(undefined, values.answers?.[0] ?? [], values.answers?.[1] ?? [], inventory);
    return devices.items && gpuRows(devices.items, [], values.answers?.[1] ?? [], inventory);
  }, [inventory, devices, values, metrics]);
  const columns = useMemo(() => gpuColumns(values, busy), [values, busy]);
  return (
    <List
      place={place}
      title={l.gpusTitle}
      rows={rows}
      columns={columns}
      filters={["cluster", "worker"]}
      lists={[...lists, devices]}
      metricsError={values.error ?? busy.error}
      empty={
        <Empty title={l.noGPUs}>
          <p>{l.noGPUsHow}</p>
          <p>
            <a href="/d/stackscope-gpus">{l.gpuDashboard}</a>
          </p>
        </Empty>
      }
    />
  );
}
