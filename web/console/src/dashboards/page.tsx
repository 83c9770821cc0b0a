import type { Place } from "../router";

export function DashboardPage({ uid }: { uid: string; place: Place }) {
  return <p>{uid}</p>;
}
