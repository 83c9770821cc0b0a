// At most so many at a time, in order; one run for each key.

interface Flight<T> {
  done: Promise<T>;
  waiting: number;
  abort: AbortController;
}

/** Runs tasks, at most `most` at a time. Tasks with the same key share one run, which ends when nobody waits for it any more. */
export class Queue<T> {
  private readonly flights = new Map<string, Flight<T>>();
  private readonly line: (() => void)[] = [];
  private running = 0;

  constructor(private readonly most: number) {}

  run(key: string, task: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    let flight = this.flights.get(key);
    if (!flight) {
      const abort = new AbortController();
      flight = { done: this.start(task, abort.signal), waiting: 0, abort };
      this.flights.set(key, flight);
      const end = () => {
        if (this.flights.get(key) === flight) this.flights.delete(key);
      };
      flight.done.then(end, end);
    }
    const shared = flight;
    shared.waiting++;
    return new Promise<T>((resolve, reject) => {
      const left = () => {
        reject(signal!.reason as Error);
        if (--shared.waiting > 0) return;
        if (this.flights.get(key) === shared) this.flights.delete(key); // who comes later must not get an aborted run
        shared.abort.abort(signal!.reason);
      };
      signal?.addEventListener("abort", left, { once: true });
      const settle = () => signal?.removeEventListener("abort", left);
      shared.done.then(
        (value) => (settle(), resolve(value)),
        (error: unknown) => (settle(), reject(error as Error)),
      );
    });
  }

  private start(task: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const go = () => {
        if (signal.aborted) {
          reject(signal.reason as Error);
          return;
        }
        this.running++;
        void task(signal)
          .then(resolve, reject)
          .finally(() => {
            this.running--;
            this.next();
          });
      };
      if (this.running < this.most) go();
      else this.line.push(go);
      signal.addEventListener("abort", () => {
        const at = this.line.indexOf(go);
        if (at >= 0) {
          this.line.splice(at, 1);
          reject(signal.reason as Error);
        }
      });
    });
  }

  private next(): void {
    while (this.running < this.most && this.line.length > 0) this.line.shift()!();
  }
}
