import { defineConfig } from "vite";

// The server serves index.html for every page of the console, and the rest under /console/assets.
export default defineConfig({
  base: "/",
  build: {
    outDir: "build", // hack/build-console copies it to dist, which is committed
    assetsDir: "console/assets",
    assetsInlineLimit: 0, // the Content-Security-Policy of the pages forbids inline scripts and styles
    modulePreload: { polyfill: false },
    target: "es2023",
    cssCodeSplit: true,
    reportCompressedSize: true,
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
});
