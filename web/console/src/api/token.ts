// The admin token (or the read token) that the viewer gave. It lives in sessionStorage: until the tab is closed, and in no other tab.
import { Value } from "./value";

const key = "stackscope-token";

function stored(): string | undefined {
  try {
    return sessionStorage.getItem(key) ?? undefined;
  } catch {
    return undefined; // storage is turned off: the token then lives until the page is loaded again
  }
}

const token = new Value<string | undefined>(stored());

/** Whether there is a token, for the header. The token itself is given to requests alone. */
export const hasToken = new Value(token.get() !== undefined);

/** Whether the viewer closed the dialog without a token. Requests then fail instead of asking again and again. */
export const declined = new Value(false);

export function getToken(): string | undefined {
  return token.get();
}

export function keepToken(value: string): void {
  token.set(value);
  hasToken.set(true);
  declined.set(false);
  try {
    sessionStorage.setItem(key, value);
  } catch {
    // see stored
  }
}

export function forgetToken(): void {
  token.set(undefined);
  hasToken.set(false);
  declined.set(false);
  try {
    sessionStorage.removeItem(key);
  } catch {
    // see stored
  }
}

/** Shows the dialog; resolves to the token that `accepts` took, or to nothing if the viewer closed it. Replaced in tests. */
export type Ask = (accepts: (token: string) => Promise<Verdict>) => Promise<string | undefined>;

/** Whether the server takes a token: nothing if it does, else why not. */
export type Verdict = string | undefined;

let ask: Ask = async (accepts) => (await import("./tokendialog")).askInDialog(accepts);
let asking: Promise<string | undefined> | undefined;

export function setAsk(replacement: Ask): void {
  ask = replacement;
  asking = undefined;
}

/** Asks for the token, once for all requests that need it at the same time. */
export function askForToken(accepts: (token: string) => Promise<Verdict>): Promise<string | undefined> {
  asking ??= ask(accepts)
    .then((given) => {
      if (given === undefined) declined.set(true);
      else keepToken(given);
      return given;
    })
    .finally(() => {
      asking = undefined;
    });
  return asking;
}
