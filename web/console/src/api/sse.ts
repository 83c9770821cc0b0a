// Server-sent events from the text of a stream, as https://html.spec.whatwg.org/multipage/server-sent-events.html has them.

export interface Event {
  event: string;
  data: string;
}

/** The most text of one line or event that is kept; a longer one is dropped. */
const mostText = 64 * 1024;

/** Takes a stream's text in pieces of any size and gives the events that end in each. */
export class EventParser {
  #rest = "";
  #event = "";
  #data: string[] = [];
  #size = 0;

  push(text: string): Event[] {
    const events: Event[] = [];
    this.#rest += text;
    // A CR at the end may be half of CR LF.
    for (let end = /\r\n|\n|\r(?!$)/.exec(this.#rest); end; end = /\r\n|\n|\r(?!$)/.exec(this.#rest)) {
      const line = this.#rest.slice(0, end.index);
      this.#rest = this.#rest.slice(end.index + end[0].length);
      this.#line(line, events);
    }
    if (this.#rest.length > mostText) this.#rest = "";
    return events;
  }

  #line(line: string, events: Event[]): void {
    if (line === "") {
      if (this.#data.length > 0 && this.#size <= mostText) events.push({ event: this.#event || "message", data: this.#data.join("\n") });
      this.#event = "";
      this.#data = [];
      this.#size = 0;
      return;
    }
    if (line.startsWith(":")) return;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "event") this.#event = value;
    if (field === "data") {
      this.#size += value.length + 1;
      if (this.#size <= mostText) this.#data.push(value);
    }
  }
}
