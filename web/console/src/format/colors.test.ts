import { describe, expect, test } from "vitest";
import known from "../model/known.json";
import { color, palette } from "./colors";

type RGB = [number, number, number];

const linear = (hex: string) =>
  [1, 3, 5].map((i) => {
    const c = parseInt(hex.slice(i, i + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as RGB;

/** Contrast of WCAG 2.2. */
function contrast(a: string, b: string): number {
  const [low, high] = [a, b].map((hex) => linear(hex)).map(([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b).sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

function product(m: number[][], v: RGB): RGB {
  return m.map((row) => row.reduce((sum, x, i) => sum + x * v[i]!, 0)) as RGB;
}

/** Björn Ottosson's Oklab, in which distances are alike to the eye. */
function oklab(rgb: RGB): RGB {
  const lms = product([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]], rgb);
  return product(
    [[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099], [0.0259040371, 0.7827717662, -0.808675766]],
    lms.map((c) => Math.cbrt(Math.max(0, c))) as RGB,
  );
}

// Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency (2009), severity 1.
const visions: Record<string, number[][]> = {
  trichromacy: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
};

describe.each([
  ["light", "#ffffff"],
  ["dark", "#1a1e26"],
] as const)("the palette of the %s theme", (theme, surface) => {
  test("has 20 different colours with a contrast of 3:1 on the surface", () => {
    expect(new Set(palette[theme]).size).toBe(20);
    for (const c of palette[theme]) expect(contrast(c, surface), c).toBeGreaterThanOrEqual(3);
  });
  test.each(Object.keys(visions))("has eight colours to begin with that differ with %s", (vision) => {
    const seen = palette[theme].slice(0, 8).map((c) => oklab(product(visions[vision]!, linear(c))));
    for (let i = 0; i < 8; i++) for (let j = 0; j < i; j++) expect(Math.hypot(...seen[i]!.map((x, k) => x - seen[j]![k]!)), `${palette[theme][i]} ${palette[theme][j]}`).toBeGreaterThan(0.1);
  });
});

test("every colour of known.json is a custom property", () => {
  for (const name of known.colors) expect(color(name)).toBe(`var(--${name})`);
});
