import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";

const compile = (project: string) =>
  spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "--noEmit", "-p", project], {
    cwd: new URL("..", import.meta.url),
    encoding: "utf8",
  });

it.each([
  ["from ES modules and CommonJS", "test/types/tsconfig.json"],
  ["for programs without further types", "test/types/tsconfig.plain.json"],
  ["in the tests", "tsconfig.json"],
])("has the right types %s", (_, project) => {
  const { status, stdout } = compile(project);
  expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
});
