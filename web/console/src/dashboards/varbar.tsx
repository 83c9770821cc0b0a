// The controls of a dashboard's variables.
import { useId, useState } from "preact/hooks";
import type { QueryError } from "../prometheus/failure";
import { t } from "../texts";
import { arrows, Popover } from "./popover";
import { all, type Chosen } from "./variables";

const text = t.shell;

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

/** Several values: a list of check boxes with All first, and a filter where it is long. */
function Several({ chosen, set }: { chosen: Chosen; set(values: string[]): void }) {
  const { variable, values, missing } = chosen;
  const [filter, setFilter] = useState("");
  const id = useId();
  const everything = values[0] === all;
  const options = [...missing, ...(chosen.options ?? values.filter((v) => v !== all))];
  const shown = options.filter((o) => o.toLowerCase().includes(filter.toLowerCase()));
  const summary = everything ? text.all : values.length > 2 ? text.selected(values.length) : values.join(", ") || text.none;
  const toggle = (option: string) => {
    if (option === all) return set([all]);
    const without = values.filter((v) => v !== all && v !== option);
    const next = !everything && values.includes(option) ? without : [...without, option];
    set(next.length === 0 && variable.all ? [all] : next);
  };
  const item = (o: string, label: string) => {
    const selected = o === all ? everything : !everything && values.includes(o);
    return (
      <div
        key={o}
        role="option"
        tabIndex={-1}
        aria-selected={selected}
        onClick={() => toggle(o)}
        onKeyDown={(event) => {
          if (event.key !== " " && event.key !== "Enter") return;
          event.preventDefault();
          toggle(o);
        }}
      >
        <span class="check" aria-hidden="true" />
        {label}
      </div>
    );
  };
  return (
    <div class="variable">
      <span id={id}>{variable.label}</span>
      <Popover button={summary} name={`${variable.label}: ${summary}`}>
        {() => (
          <div onKeyDown={(event) => arrows(event, "input, [role=option]")}>
            {options.length > 10 && (
              <input type="search" placeholder={text.filter} aria-label={text.filter} value={filter} onInput={(event) => setFilter(event.currentTarget.value)} autofocus />
            )}
            <div role="listbox" aria-multiselectable="true" aria-labelledby={id} tabIndex={0} class="options">
              {variable.all && item(all, text.all)}
              {shown.map((o) => item(o, missing.includes(o) ? text.goneOption(o) : o))}
              {options.length === 0 && <p class="dim">{text.noOptions}</p>}
            </div>
          </div>
        )}
      </Popover>
    </div>
  );
}
