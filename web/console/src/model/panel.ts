// What a panel's drawing gets, and what it may do: the contract between the shell and the drawings.
import type { ComponentType } from "preact";
import type { Panel } from "./dashboard";

export type Labels = Readonly<Record<string, string>>;

/** One series of an answer. Times in seconds, ascending; an instant query's has one point. */
export interface Series {
  labels: Labels;
  times: number[];
  values: number[];
}

/** Seconds since the epoch. */
export interface Range {
  from: number;
  to: number;
}

/** An event, for the graphs. */
export interface Mark {
  time: number; // seconds
  name: string;
  text: string;
  color: string;
}

/** What a panel shows now. */
export interface PanelData {
  /** One list of series for each query, in order. */
  answers: Series[][];
  range: Range;
  /** Seconds between two points. */
  step: number;
  marks: Mark[];
}

export type Theme = "light" | "dark";

export interface DrawingProps {
  panel: Panel;
  data: PanelData;
  /** Size of the body in CSS pixels; changes with the window. */
  width: number;
  height: number;
  theme: Theme;
  /** Fills the placeholders of a link: fields of a table's row, labels of a series, variables, the time range. Undefined where a URL isn't allowed. */
  link(url: string, fields: Labels, labels: Labels): string | undefined;
  /** The viewer chose a range by dragging, seconds. */
  zoom(range: Range): void;
  /** Time under the pointer in any panel, seconds; drawings publish and follow it. */
  cursor: Cursor;
  /** Names of series that the legend hides; the shell keeps them for the page's life. */
  hidden: ReadonlySet<string>;
  setHidden(names: ReadonlySet<string>): void;
  /** The drawing tells what it left out, such as "20 of 312 series are shown"; undefined: nothing. Call it in an effect. */
  note(text: string | undefined): void;
  /** Full screen: more rows, larger legend. */
  full: boolean;
}

export interface Cursor {
  get(): number | undefined;
  set(time: number | undefined, from: object): void;
  /** Returns what ends the subscription. */
  follow(who: object, changed: (time: number | undefined) => void): () => void;
}

/** A kind of panel. */
export interface Drawing {
  component: ComponentType<DrawingProps>;
  /** The panel's data as rows of CSV cells, the header first. */
  rows(panel: Panel, data: PanelData): string[][];
  /** Draws the panel's body on a canvas context of the given size (CSS pixels), for PNG; absent: the shell copies the component's own canvases. */
  paint?(ctx: CanvasRenderingContext2D, props: DrawingProps): void | Promise<void>;
}
