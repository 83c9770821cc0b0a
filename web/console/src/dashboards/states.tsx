// What a panel shows instead of a drawing.
import { Component, type ComponentChildren, type ComponentType } from "preact";
import type { DrawingProps } from "../model/panel";
import { t } from "../texts";
import type { Board } from "./board";
import { Tip } from "./tip";
import type { NoDataReason } from "./why";

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
export function NoData({ told, board, small, word }: { told: NoDataReason | undefined; board: Board; small: boolean; word: string | undefined }) {
  const headline = told?.headline ?? word;
  // The panel's own words say more than that its metrics are there.
  const explained = told && !(word !== undefined && told.reason?.kind === "empty");
  return (
    <Message word={headline ? headline[0]!.toUpperCase() + headline.slice(1) : text.noData} small={small}>
      {explained && <told.Explanation told={told} board={board} />}
    </Message>
  );
}

/** Draws anew only for other props. A remembered vnode would do the same, but Preact's links to parents then keep the page's tree of every refresh. */
export class PureDrawing extends Component<{ draw: ComponentType<DrawingProps>; given: DrawingProps }> {
  override shouldComponentUpdate(next: { draw: unknown; given: DrawingProps }): boolean {
    return next.given !== this.props.given || next.draw !== this.props.draw;
  }

  override render() {
    const Draw = this.props.draw;
    return <Draw {...this.props.given} />;
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
