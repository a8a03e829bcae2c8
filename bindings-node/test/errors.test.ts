import fs from "node:fs";
import * as api from "@letta/app-client-native";
import { errorCodes } from "@letta/app-client-native/testing";
import { describe, expect, it } from "vitest";
import * as sources from "../ts/errors.js";
import { anotherCopy, startMock } from "./helpers.js";

const { errorFromJson } = sources;

interface Kind {
  code: string;
  retryable: boolean;
  ends_turn: boolean;
  /** An error with nothing but a message, and one with everything, as the engine writes them. */
  bare: Record<string, unknown>;
  full: Record<string, unknown>;
}

/** The list of the engine, which all languages share. */
const KINDS: Kind[] = JSON.parse(
  fs.readFileSync(new URL("../../tests/errors.json", import.meta.url), "utf8"),
);

/** Every class: its code, whether to try again, whether it is about a turn, and what it has of its own. */
const TABLE: [Class: Class, code: string, retryable: boolean, turn: boolean, own: object][] = [
  [api.InvalidOption, "invalid_option", false, false, {}],
  [api.ConnectionFailed, "connection_failed", true, false, {}],
  [api.AuthError, "auth", false, false, {}],
  [api.ProtocolMismatch, "protocol_mismatch", false, false, {}],
  [
    api.Disconnected,
    "disconnected",
    false,
    false,
    { reason: "what went wrong", closeCode: 1006, willReconnect: true },
  ],
  [api.ClientClosed, "closed", false, false, {}],
  [api.RequestError, "request", false, false, { response: { success: false, error: "no" } }],
  [api.RequestTimeout, "request_timeout", true, false, {}],
  [api.MessageTooLarge, "message_too_large", false, false, {}],
  [api.InvalidCommand, "invalid_command", false, false, {}],
  [api.UnsupportedByServer, "unsupported_by_server", false, false, {}],
  [api.TooManyRequests, "too_many_requests", true, false, {}],
  [api.TurnFailed, "turn_failed", false, true, {}],
  [api.TurnAborted, "turn_aborted", false, true, {}],
  [api.TurnTimeout, "turn_timeout", false, true, {}],
  [api.TurnIdleTimeout, "turn_idle_timeout", false, true, {}],
  [api.TurnInterrupted, "turn_interrupted", false, true, { closeCode: 1006 }],
  [api.ApprovalRequired, "approval_required", false, true, { request: { toolName: "" } }],
  [
    api.StructuredOutputError,
    "structured_output",
    false,
    true,
    { text: "", errors: ["file: is missing"] },
  ],
  [api.Lagged, "lagged", false, false, { droppedCount: 7 }],
  [
    api.ServerStartError,
    "server_start",
    false,
    false,
    { command: ["letta", "server"], exitCode: 3, outputTail: ["no such model"] },
  ],
  [api.ForkedProcess, "forked_process", false, false, {}],
  [api.InternalError, "internal", false, false, {}],
];

/** The classes in the overview at the top of the source. */
const TREE = fs
  .readFileSync(new URL("../ts/errors.ts", import.meta.url), "utf8")
  .split("*/", 1)
  .flatMap((overview) => Array.from(overview.matchAll(/[├└]─ (\w+)/g), ([, name]) => name));

/** A class as it is documented; `kind` is its name in Rust. */
interface Documented {
  class: string;
  kind: string | null;
  code: string | null;
  base: string | null;
  retryable: boolean;
  own: string[];
}

const DOCUMENTED: { classes: Documented[]; own: Record<string, unknown> } = JSON.parse(
  fs.readFileSync(new URL("../../tests/error_classes.json", import.meta.url), "utf8"),
);

type Class = new (message: string, details?: api.ErrorDetails) => api.LettaAppError;

it("has a class for every kind of the engine, and no other", () => {
  const codes = TABLE.map(([, code]) => code);
  expect(codes).toEqual(KINDS.map(({ code }) => code));
  expect(codes).toEqual(errorCodes());
  expect(Object.entries(api.ERROR_CLASSES).map(([code, Class]) => [Class, code])).toEqual(
    TABLE.map(([Class, code]) => [Class, code]),
  );
  const exported = Object.values(api).filter(
    (value) => typeof value === "function" && value.prototype instanceof api.LettaAppError,
  );
  const bases: unknown[] = [api.LettaAppError, api.TurnError];
  expect(new Set(exported.filter((value) => !bases.includes(value)))).toEqual(
    new Set(TABLE.map(([Class]) => Class)),
  );
});

describe.each(TABLE)("%o", (Class, code, retryable, turn, own) => {
  const kind = KINDS.find((each) => each.code === code) as Kind;

  it("is what the engine says", () => {
    expect(kind).toMatchObject({ retryable, ends_turn: turn });
    expect(Class.prototype instanceof api.TurnError).toBe(turn);
    expect(Class.prototype).toBeInstanceOf(Error);
    expect(TREE).toContain(Class.name);
  });

  it("has its name also where a program was made smaller, whose classes have others", () => {
    const { name } = Class;
    Object.defineProperty(Class, "name", { value: "a", configurable: true });
    try {
      const error = new (Class as new (words: string) => Error)("no luck");
      expect(error.name).toBe(name);
      expect(api.isLettaAppError(error)).toBe(true);
    } finally {
      Object.defineProperty(Class, "name", { value: name, configurable: true });
    }
  });

  it("is made of the engine's error, with a hint and without one", () => {
    const bare = errorFromJson(JSON.stringify(kind.bare));
    expect(bare).toMatchObject({
      ...{ name: Class.name, code, retryable, hint: undefined, result: undefined },
      message: "what went wrong",
    });
    const full = errorFromJson(JSON.stringify(kind.full));
    expect(full).toMatchObject({
      ...{ name: Class.name, code, retryable, hint: "what to do" },
      message: "what went wrong (what to do)",
      result: { status: null, text: "", usage: { totalTokens: 0 } },
      ...own,
    });
  });

  it("can be made by hand", () => {
    const error = new Class("words", { hint: "do this", closeCode: 1006 });
    expect(error).toBeInstanceOf(api.LettaAppError);
    expect(error).toMatchObject({ code, message: "words (do this)", hint: "do this" });
    expect(error.retryable).toBe(false);
  });
});

// Only Python has event loops, one of which may be the wrong one.
describe.each(DOCUMENTED.classes.filter(({ class: name }) => name !== "WrongLoop"))(
  "$class",
  ({ class: name, code, base, retryable, own }) => {
    const named = sources as unknown as Record<string, Class>;
    const Class = named[name] as Class;
    const camel = (word: string) => word.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

    it("has the base that is documented", () => {
      expect(Object.getPrototypeOf(Class)).toBe(base === null ? Error : named[base]);
      expect(Object.keys(api)).toContain(name);
    });

    it("has the code and the attributes that are documented", () => {
      // What a base has, every class of its own has.
      const kinds = KINDS.filter(
        (kind) => errorFromJson(JSON.stringify(kind.full)) instanceof Class,
      );
      expect(kinds.length).toBeGreaterThan(0);
      if (code !== null) expect(kinds.map((kind) => kind.code)).toEqual([code]);
      for (const { full } of kinds) {
        const error = errorFromJson(JSON.stringify(full));
        expect(error.hint).toBe("what to do");
        if (code !== null) expect([error.code, error.retryable]).toEqual([code, retryable]);
        for (const attribute of own) {
          const value = (error as unknown as Record<string, unknown>)[camel(attribute)];
          const seen = attribute === "result" ? (value as { text: string }).text : value;
          expect(seen, attribute).toEqual(DOCUMENTED.own[attribute]);
        }
      }
    });
  },
);

it("has no class that is not documented", () => {
  const documented = DOCUMENTED.classes.flatMap(({ kind, code }) => (kind ? [code] : []));
  expect(documented.sort()).toEqual(KINDS.map(({ code }) => code).sort());
});

it("says everything in the spelling of this language", () => {
  const hintOf = (hint: string) =>
    errorFromJson(
      JSON.stringify({ code: "auth", message: "m", hint, result: null, response: null }),
    ).hint;
  expect(hintOf("a longer `settle_pause` avoids this")).toBe(
    "a longer `settlePauseMs` avoids this",
  );
  expect(hintOf("raise max_message_bytes")).toBe("raise maxMessageBytes");
  expect(hintOf("tool_timeout, approval_timeout, external_tool_timeout")).toBe(
    "toolTimeoutMs, approvalTimeoutMs, externalToolTimeoutMs",
  );
  expect(hintOf("external_tool_concurrency")).toBe("externalToolConcurrency");
  expect(hintOf("name it with the `tls.ca` option")).toBe("name it with the `tls.ca` option");
  expect(hintOf("pass the server's token, not the `request_id`")).toBe(
    "pass the server's token, not the `request_id`",
  );
});

it("knows the errors of another copy of the package, which a hot reload makes", async () => {
  const other = anotherCopy();
  expect(other.TurnFailed).not.toBe(api.TurnFailed);
  expect(api.isLettaAppError(new other.TurnFailed("no luck"))).toBe(true);
  expect(other.isLettaAppError(new api.TurnFailed("no luck"))).toBe(true);
  expect(other.isLettaAppError(new api.AbortError("stop"))).toBe(false);

  // What is given turns of the other copy knows their errors too.
  const mock = await startMock([{ usage: [3, 4], error: "boom" }]);
  await using client = await api.connect(mock.url);
  const session = await client.session({ agentId: "a" });
  const gathered = await other.gather([session.send("?") as never]);
  expect(gathered.usage.totalTokens).toBe(7);
});

it.each([null, undefined, "closed", {}, new Error("closed"), { code: "closed" }])(
  "takes %o for no error of the package",
  (value) => {
    expect(api.isLettaAppError(value)).toBe(false);
  },
);

it("exports what it promises", () => {
  expect(Object.keys(api).sort()).toMatchInlineSnapshot(`
    [
      "AbortError",
      "AppServer",
      "AppServerClient",
      "ApprovalRequired",
      "AuthError",
      "ClientClosed",
      "ConnectionFailed",
      "Disconnected",
      "ERROR_CLASSES",
      "ForkedProcess",
      "InternalError",
      "InvalidCommand",
      "InvalidOption",
      "Lagged",
      "LettaAppError",
      "MessageTooLarge",
      "ProtocolMismatch",
      "Replay",
      "RequestError",
      "RequestTimeout",
      "ServerStartError",
      "Session",
      "StructuredOutputError",
      "TooManyRequests",
      "TurnAborted",
      "TurnError",
      "TurnFailed",
      "TurnIdleTimeout",
      "TurnInterrupted",
      "TurnTimeout",
      "UnsupportedByServer",
      "allow",
      "audit",
      "connect",
      "createAppServerClient",
      "deny",
      "gather",
      "isAppServerInfoResponseMessage",
      "isLettaAppError",
      "map",
      "policy",
      "rawText",
      "replay",
      "resolveAppServerChannelUrl",
      "resolveAppServerUrl",
      "spawnAppServer",
      "tool",
      "toolSet",
    ]
  `);
});
