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
    rolldownOptions: {
      output: {
        codeSplitting: {
          // Few files: each has its own gzip dictionary and is one more request. What every page needs is one, what the graphs share another.
          groups: [
            { name: "index", tags: ["$initial"], priority: 1 },
            { name: "timeseries", test: /\/charts\/timeseries\.tsx$/ },
          ],
        },
      },
    },
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
});
