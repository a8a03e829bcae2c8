import type { StandardSchemaV1 } from "@letta/app-client-native";
import { InvalidOption, tool } from "@letta/app-client-native";
import { describe, expect, it } from "vitest";
import * as mini from "zod/mini";
import { thrown } from "./helpers.js";
import { jsonSchema, userSchema } from "./tooling.js";

describe("the JSON schema", () => {
  const execute = () => "found";
  const options = { name: "t", description: "", execute };
  const offered = (parameters: object, given?: Record<string, unknown>) =>
    tool({ ...options, parameters: parameters as StandardSchemaV1, jsonSchema: given }).definition
      .parameters;

  it("is the parameters themselves", () => {
    expect(tool({ ...options, parameters: jsonSchema }).definition.parameters).toBe(jsonSchema);
  });

  it("is the given one before all others", () => {
    const given = { type: "object" };
    const schema = userSchema({ jsonSchema: { input: () => jsonSchema } });
    expect(offered(schema, given)).toBe(given);
    expect(offered({ type: "object", title: "other" }, given)).toBe(given);
  });

  it("is what the library makes of its schema", () => {
    const asked: unknown[] = [];
    const schema = userSchema({
      jsonSchema: {
        input: (options) => {
          asked.push(options);
          return jsonSchema;
        },
      },
    });
    expect(offered(schema)).toBe(jsonSchema);
    expect(asked).toEqual([{ target: "draft-2020-12" }]);
  });

  it("is what a method of the schema makes of it", () => {
    // Schemas of arktype are functions.
    const callable = Object.assign(() => {}, userSchema(), { toJsonSchema: () => jsonSchema });
    expect(offered(callable)).toBe(jsonSchema);
    const asked: unknown[] = [];
    const toJSONSchema = (options: unknown) => {
      asked.push(options);
      return jsonSchema;
    };
    expect(offered({ ...userSchema(), toJSONSchema })).toBe(jsonSchema);
    expect(asked).toEqual([{ io: "input" }]);
  });

  class Unknown {
    readonly parse = () => {};
  }
  const input = () => {
    throw new Error("Date cannot be represented");
  };
  it.each<[string, unknown, string]>([
    ["a schema without one", userSchema(), "parameters: this schema of byhand has no JSON schema"],
    ["a schema that has none", userSchema({ jsonSchema: { input } }), "Date cannot be"],
    ["a schema without the standard", new Unknown(), "parameters: expected a Standard Schema"],
    ["a text", "email", "parameters: expected a Standard Schema"],
    ["nothing", undefined, "parameters: expected a Standard Schema"],
  ])("is wanted: %s", (_, parameters, words) => {
    const error = thrown(() => tool({ ...options, parameters: parameters as StandardSchemaV1 }));
    expect(error).toBeInstanceOf(InvalidOption);
    expect(error).toMatchObject({
      message: expect.stringContaining(words),
      hint: expect.stringContaining("give the JSON schema as jsonSchema"),
    });
  });

  it("is written by the program for zod/mini, as the message says", () => {
    const parameters = mini.object({
      email: mini.string(),
      name: mini._default(mini.string(), ""),
    });
    expect(thrown(() => tool({ ...options, parameters }))).toMatchObject({
      message: expect.stringContaining("parameters: this schema of zod has no JSON schema"),
      hint: expect.stringContaining('jsonSchema: z.toJSONSchema(schema, { io: "input" })'),
    });
    const jsonSchema = mini.toJSONSchema(parameters, { io: "input" });
    const { definition } = tool({ ...options, parameters, jsonSchema });
    expect(definition.parameters).toMatchObject({ type: "object", required: ["email"] });
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["another type", { type: "string" }, "jsonSchema: expected a schema of an object, got one of"],
    ["a list", [] as never, "jsonSchema: expected a JSON schema object"],
    ["no JSON", { type: "object", default: 1n }, "jsonSchema.default: expected a JSON value"],
  ])("is refused: %s", (_, given, words) => {
    expect(thrown(() => offered(userSchema(), given))).toMatchObject({
      code: "invalid_option",
      message: expect.stringContaining(words),
    });
  });
});
