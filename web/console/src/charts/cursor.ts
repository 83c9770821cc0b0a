// The time under the pointer, which all panels of a page share.
import type { Cursor } from "../model/panel";

export class CursorBus implements Cursor {
  private time: number | undefined;
  private readonly followers = new Map<object, (time: number | undefined) => void>();

  get(): number | undefined {
    return this.time;
  }

  set(time: number | undefined, from: object): void {
    if (time === this.time) return;
    this.time = time;
    for (const [who, changed] of this.followers) if (who !== from) changed(time);
  }

  follow(who: object, changed: (time: number | undefined) => void): () => void {
    this.followers.set(who, changed);
    return () => this.followers.delete(who);
  }
}
