// What a panel shows instead of a drawing.
import { Component, type ComponentChildren } from "preact";
import { t } from "../texts";
import type { Board } from "./board";
import type { Reason } from "./nodata";
import { clock } from "./timepicker";
import { Tip } from "./tip";

const text = t.shell;

/** A short word, and the explanation beside it where there is room, else behind a button. */
export function Message({ word, children, small, alarm }: { word: string; children?: ComponentChildren; small: boolean; alarm?: boolean }) {
  const explained = children !== undefined && children !== null && children !== false;
  return (
    <div class={alarm ? "message alarm" : "message"} role={alarm ? "alert" : undefined}>
      {small && explained ? (
        <Tip label={<>{word} <span class="more">?</span></>} name={word}>
          {children}
        </Tip>
      ) : (
        <>
          <strong>{word}</strong>
          {explained && <p>{children}</p>}
        </>
      )}
    </div>
  );
}

/** No data, in the panel's own words if it has some, and why. */
export function NoData({ reason, board, small, word }: { reason: Reason | undefined; board: Board; small: boolean; word: string | undefined }) {
  const told = reason && !(word !== undefined && reason.kind === "empty"); // the panel's words say more
  if (reason?.kind === "gone") {
    return (
      <Message word={text.goneShort(reason.label, reason.values)} small={small}>
        {text.goneOthers(reason.options)}
      </Message>
    );
  }
  return (
    <Message word={word ? word[0]!.toUpperCase() + word.slice(1) : text.noData} small={small}>
      {told && explain(reason, board)}
    </Message>
  );
}

function explain(reason: Reason, board: Board): ComponentChildren {
  switch (reason.kind) {
    case "never":
      return (
        <>
          {text.never(reason.metric)} <a href="/d/stackscope-engines">{text.neverLink}</a>
        </>
      );
    case "earlier": {
      const span = board.round.range.to - board.round.range.from;
      return (
        <>
          {text.earlierData(reason.metric, clock(reason.last))}{" "}
          <button type="button" onClick={() => board.zoom({ from: reason.last - span / 2, to: reason.last + span / 2 })}>
            {text.showThen}
          </button>
        </>
      );
    }
    case "others": {
      const label = board.round.chosen.find((c) => c.variable.name === reason.variable)?.variable.label ?? reason.variable;
      return text.others(label, reason.values, reason.metric, reason.others);
    }
    case "gone":
      return text.goneOthers(reason.options);
    case "empty":
      return text.empty(reason.metrics);
  }
}

/** Keeps the fault of one drawing from taking the page with it. */
export class Boundary extends Component<{ children: ComponentChildren; of: unknown; broken(why: string): ComponentChildren }, { why: string | undefined }> {
  override state: { why: string | undefined } = { why: undefined };

  override componentDidCatch(thrown: unknown): void {
    console.error(thrown);
    this.setState({ why: thrown instanceof Error ? thrown.message : String(thrown) });
  }

  override componentDidUpdate(before: { of: unknown }): void {
    if (before.of !== this.props.of && this.state.why !== undefined) this.setState({ why: undefined });
  }

  override render() {
    return this.state.why === undefined ? this.props.children : this.props.broken(this.state.why);
  }
}
