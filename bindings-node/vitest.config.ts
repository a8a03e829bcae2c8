import { defineConfig } from "vitest/config";

/** The built package is what is tested: it must not be transformed on the way. */
const server = { deps: { external: [/\/dist\//] } };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/*.test.ts"],
          exclude: ["test/types.test.ts"],
          // Tests wait for events, so only a busy machine makes them slow.
          testTimeout: 30_000,
          server,
        },
      },
      { test: { name: "types", include: ["test/types.test.ts"], testTimeout: 120_000 } },
      {
        test: {
          name: "live",
          include: ["test/live/*.test.ts"],
          // Each file has a server of its own and mostly waits for it.
          maxWorkers: 3,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          server,
        },
      },
    ],
  },
});
