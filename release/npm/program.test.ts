import { expect, it } from "vitest";
import { answer } from "./program.js";

it("answers under Vitest", async () => {
  expect(await answer()).toBe("42");
});
