// The controls of a dashboard's variables.
import { useId } from "preact/hooks";
import type { QueryError } from "../prometheus/failure";
import { t } from "../texts";
import { Later, Popover } from "./popover";
import { all, type Chosen } from "./variables";

const text = t.shell;

const loadSeveral = () => import("./several").then((m) => m.Several);

interface Props {
  chosen: readonly Chosen[];
  failures: ReadonlyMap<string, QueryError>;
  set(name: string, values: string[]): void;
}

export function VariableBar({ chosen, failures, set }: Props) {
  return (
    <>
      {chosen
        .filter((c) => !c.variable.hidden)
        .map((c) => (
          <Control key={c.variable.name} chosen={c} set={(values) => set(c.variable.name, values)} />
        ))}
      {[...failures].map(([name, failure]) => (
        <p key={name} class="problem" role="alert">
          {text.optionsFailed(chosen.find((c) => c.variable.name === name)?.variable.label ?? name, failure.message)} {failure.todo}
        </p>
      ))}
      {chosen.map(
        (c) =>
          c.missing.length > 0 &&
          !c.variable.hidden && (
            <p key={c.variable.name} class="problem" role="status">
              {text.gone(c.variable.label, c.missing)}
            </p>
          ),
      )}
    </>
  );
}

function Control({ chosen, set }: { chosen: Chosen; set(values: string[]): void }) {
  const { variable, values, missing } = chosen;
  const id = useId();
  if (variable.text !== undefined) {
    return (
      <label class="variable">
        <span>{variable.label}</span>
        <input size={8} value={values[0] ?? ""} onChange={(event) => set([event.currentTarget.value])} />
      </label>
    );
  }
  if (variable.multi) return <Several chosen={chosen} set={set} />;
  const options = [...(variable.all ? [all] : []), ...missing, ...(chosen.options ?? values.filter((v) => v !== all))];
  return (
    <div class="variable">
      <label for={id}>{variable.label}</label>
      <select id={id} value={values[0] ?? ""} disabled={options.length === 0} onChange={(event) => set([event.currentTarget.value])}>
        {options.length === 0 && <option value="">{chosen.options ? text.noOptions : text.loading}</option>}
        {options.map((o) => (
          <option key={o} value={o} selected={o === values[0]}>
            {o === all ? text.all : missing.includes(o) ? text.goneOption(o) : o}
          </option>
        ))}
      </select>
    </div>
  );
}

function Several({ chosen, set }: { chosen: Chosen; set(values: string[]): void }) {
  const { variable, values } = chosen;
  const summary = values[0] === all ? text.all : values.length > 2 ? text.selected(values.length) : values.join(", ") || text.none;
  return (
    <div class="variable">
      <span>{variable.label}</span>
      <Popover button={summary} name={`${variable.label}: ${summary}`}>
        {() => <Later load={loadSeveral} props={{ chosen, set }} />}
      </Popover>
    </div>
  );
}
