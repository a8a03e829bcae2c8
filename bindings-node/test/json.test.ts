import { runInNewContext } from "node:vm";
import { allow, deny, InvalidCommand, InvalidOption } from "@letta/app-client-native";
import { MockServer } from "@letta/app-client-native/testing";
import { describe, expect, it } from "vitest";
import { connected, rejection, startMock, thrown } from "./helpers.js";
import { context, failure, plain, text } from "./tooling.js";

/** Its data is where JSON does not look. */
class Hidden {
  readonly #command = "ls";
  get command() {
    return this.#command;
  }
}

/** Levels of an object, from the innermost. */
function nested(levels: number): object {
  let value: object = {};
  for (let level = 1; level < levels; level += 1) value = { deep: value };
  return value;
}

const circle: Record<string, unknown> = {};
circle.list = [circle];

/** A value, where it is in the field, and what is said of it. */
const lost: [name: string, value: unknown, words: string][] = [
  ["a map", new Map([["k", 1]]), "`: expected a JSON value, got Map"],
  ["a set in a list", [new Set([1])], "[0]`: expected a JSON value, got Set"],
  ["a weak map", { a: new WeakMap() }, ".a`: expected a JSON value, got WeakMap"],
  [
    "an error",
    { a: [{ e: new TypeError("x") }] },
    ".a[0].e`: expected a JSON value, got TypeError",
  ],
  [
    "an error of another realm",
    runInNewContext("new Error('x')"),
    "expected a JSON value, got Error",
  ],
  ["a map of another realm", runInNewContext("new Map()"), "expected a JSON value, got Map"],
  ["a typed array", Float64Array.of(1, 2), "expected a JSON value, got Float64Array"],
  ["a buffer", new ArrayBuffer(4), "expected a JSON value, got ArrayBuffer"],
  ["a promise", Promise.resolve(1), "expected a JSON value, got Promise"],
  ["private fields", { a: new Hidden() }, ".a`: expected a JSON value, got Hidden"],
  ["no number", { a: Number.NaN }, ".a`: expected a finite number, got NaN"],
  ["a boxed one", Object(Number.NaN), "expected a finite number, got NaN"],
  ["infinity in a list", [1, Number.NEGATIVE_INFINITY], "[1]`: expected a finite number, got -Inf"],
  ["no date", { a: new Date(Number.NaN) }, ".a`: expected a JSON value, got Invalid Date"],
  ["a big integer", { a: 1n }, ".a`: expected a JSON value, got bigint"],
  ["a symbol", { a: Symbol("x") }, ".a`: expected a JSON value, got symbol"],
  ["a function in a list", [() => 1], "[0]`: expected a JSON value, got function"],
  [
    "what toJSON gives",
    { toJSON: () => ({ a: new Map() }) },
    ".a`: expected a JSON value, got Map",
  ],
  ["a circle", circle, ".list[0]`: it contains itself"],
  [
    "a getter that fails",
    {
      get a() {
        throw new Error("no luck");
      },
    },
    ".a`: cannot be written as JSON: no luck",
  ],
];

describe("what JSON would lose is refused with its place", () => {
  it.each(lost)("in a command: %s", async (_, metadata, words) => {
    const mock = await startMock();
    const client = await connected(mock);
    const error = await rejection(client.agents.create({ body: { metadata: metadata as never } }));
    expect(error).toBeInstanceOf(InvalidCommand);
    expect((error as Error).message).toMatch(/^field `body\.metadata/);
    expect((error as Error).message).toContain(words);
    expect(mock.receivedOf("agent_create")).toEqual([]);
  });

  it.each(lost)("in the arguments of an allowed tool: %s", (_, value, words) => {
    const error = thrown(() => allow({ updatedInput: { value } })) as Error;
    expect(error).toBeInstanceOf(InvalidOption);
    expect(error.message).toMatch(/^updatedInput\.value/);
    expect(error.message).toContain(words.replace("`", ""));
  });

  it.each(lost)("in what a tool returns: %s", async (_, value, words) => {
    const result = await plain(() => ({ value })).call({}, context());
    expect(result).toEqual(failure(expect.stringMatching(/^the tool's result: field `value/)));
    expect(result).toEqual(failure(expect.stringContaining(words)));
  });

  it("in what is too deep for a command", async () => {
    const client = await connected(await startMock());
    await client.agents.create({ body: { metadata: nested(125) as never } });
    const deeper = client.agents.create({ body: { metadata: nested(126) as never } });
    expect(await rejection(deeper)).toMatchObject({
      code: "invalid_command",
      message: expect.stringMatching(
        /^field `body\.metadata\.deep.*…`: nested too deeply: more than 127/,
      ),
    });
  });

  it("in what a server double is told", async () => {
    const answers = { list_models: { entries: new Set([1]) } };
    expect(await rejection(MockServer.start({ answers: answers as never }))).toMatchObject({
      code: "invalid_option",
      message: "answers.list_models.entries: expected a JSON value, got Set",
    });
    const mock = await startMock();
    expect(thrown(() => mock.push({ n: Number.NaN }))).toMatchObject({
      message: "frame.n: expected a finite number, got NaN",
    });
  });
});

it("takes all the same what JSON takes", async () => {
  const shared = { a: 1 };
  const value = {
    date: new Date(0),
    url: new URL("http://x"),
    boxed: [Object("text"), Object(1), Object(true)],
    bytes: Buffer.from("a"),
    own: { toJSON: (key: string) => `of ${key}` },
    bare: Object.assign(Object.create(null), { b: 2 }),
    fields: new (class {
      n = 1;
      method() {}
    })(),
    left: { undefined, method() {} },
    holes: [undefined, null],
    twice: [shared, shared],
    ["__proto__"]: { c: 3 },
  };
  expect(await plain(() => value).call({}, context())).toEqual(text(JSON.stringify(value)));
  const deep = nested(500);
  expect(await plain(() => deep).call({}, context())).toEqual(text(JSON.stringify(deep)));
});

describe("decisions are checked when they are made", () => {
  it.each<[string, () => unknown, string]>([
    [
      "one suggestion",
      () => allow({ suggestions: "s1" as never }),
      'suggestions: expected a list of suggestions or ids, got "s1"',
    ],
    [
      "no suggestion",
      () => allow({ suggestions: [null as never] }),
      "suggestions[0]: expected a suggestion or its id, got null",
    ],
    ["a suggestion without an id", () => allow({ suggestions: [{} as never] }), "suggestions[0]: "],
    [
      "a command as arguments",
      () => allow({ updatedInput: "ls" as never }),
      'updatedInput: expected an object, got "ls"',
    ],
    [
      "a list of arguments",
      () => allow({ updatedInput: [1] as never }),
      "updatedInput: expected an object, got an array",
    ],
    [
      "no arguments",
      () => allow({ updatedInput: null as never }),
      "updatedInput: expected an object, got null",
    ],
    [
      "a remark of a number",
      () => allow({ message: 5 as never }),
      "message: expected a string, got 5",
    ],
    ["no reason", () => deny(undefined as never), "message: expected a string, got nothing"],
    [
      "an error as reason",
      () => deny(new Error("no") as never),
      "message: expected a string, got Error (give its message)",
    ],
    [
      "an object as reason",
      () => deny({ message: "no" } as never),
      "message: expected a string, got Object",
    ],
  ])("%s", (_, make, words) => {
    const error = thrown(make);
    expect(error).toBeInstanceOf(InvalidOption);
    expect((error as Error).message).toContain(words);
  });
});
