// A list of the inventory that is asked for again at each change.
import { decoded, failure, request, RequestError, type Check } from "./request";
import { Value } from "./value";

/** What is known of a list. */
export interface Listed<T> {
  /** The last good answer; undefined before the first. The same object as long as the answer is the same. */
  items?: T;
  /** Why the last request failed; items are then old. */
  error?: RequestError;
  /** With an error: when items were last confirmed, milliseconds since the epoch. */
  at?: number;
  /** The server has no such list: it is older than the console. */
  older?: boolean;
}

/** Requests take at most this share of the time, so that a large fleet that changes all the time leaves the page responsive. */
const share = 0.1;

export class Live<T> {
  readonly value = new Value<Listed<T>>({});
  readonly #path: string;
  readonly #check: Check<T>;
  #etag: string | undefined;
  #text = "";
  #at: number | undefined;
  #asking = false;
  #again = false;
  #next = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(path: string, check: Check<T>) {
    this.#path = path;
    this.#check = check;
  }

  /** Asks for the list, one request at a time; what changes meanwhile is asked for afterwards. */
  refresh(): void {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    if (this.#timer !== undefined) return;
    const wait = this.#next - Date.now();
    if (wait > 0) {
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.refresh();
      }, wait);
      return;
    }
    void this.#run();
  }

  async #run(): Promise<void> {
    this.#asking = true;
    const begun = Date.now();
    await this.#ask();
    this.#next = Date.now() + (Date.now() - begun) * (1 / share - 1);
    this.#asking = false;
    if (!this.#again) return;
    this.#again = false;
    this.refresh();
  }

  async #ask(): Promise<void> {
    const before = this.value.get();
    try {
      const response = await request(this.#path, this.#etag === undefined ? {} : { headers: { "If-None-Match": this.#etag } });
      if (response.status !== 304) {
        if (!response.ok) throw await failure(response);
        const text = await response.text();
        if (text !== this.#text || before.items === undefined) {
          const items = decoded(this.#path, JSON.parse(text) as unknown, this.#check);
          this.#text = text;
          this.value.set({ items });
        }
        this.#etag = response.headers.get("ETag") ?? undefined;
      }
      this.#at = Date.now();
      const now = this.value.get();
      if (now.error && now.items !== undefined) this.value.set({ items: now.items });
    } catch (thrown) {
      const error = thrown instanceof RequestError ? thrown : new RequestError(0, String(thrown), "");
      this.value.set({ ...before, error, ...(this.#at === undefined ? {} : { at: this.#at }), ...(error.status === 404 ? { older: true } : {}) });
    }
  }
}
