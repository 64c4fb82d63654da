import { defineConfig } from "vite";

// `npm run dev` talks to a running stack (`make up`); the build needs none.
const gateway = process.env.GATEWAY ?? "http://127.0.0.1:8080";

export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  worker: { format: "es" },
  build: {
    target: "es2022",
    // An inlined asset is a data: address, which the content security policy `default-src 'self'` blocks.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/v1": { target: gateway, ws: true } } },
});
