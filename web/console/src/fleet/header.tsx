import type { Place } from "../router";

export function Header(_: { place: Place }) {
  return (
    <header>
      <nav>
        <a href="/">stackscope</a>
      </nav>
    </header>
  );
}
