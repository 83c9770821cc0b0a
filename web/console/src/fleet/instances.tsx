import type { PageProps } from "../app";

export default function Page({ place }: PageProps) {
  return <p>{place.path}</p>;
}
