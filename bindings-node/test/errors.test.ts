import * as api from "@letta/app-client-native";
import { errorCodes } from "@letta/app-client-native/testing";
import { expect, it } from "vitest";
import { errorFromJson } from "../ts/errors.js";

it("has a class for every kind of the engine, and no other", () => {
  expect(Object.keys(api.ERROR_CLASSES)).toHaveLength(errorCodes().length);
  for (const code of errorCodes()) {
    const Class = api.ERROR_CLASSES[code as api.ErrorCode];
    const error = new Class("words", { hint: "do this", closeCode: 1006 });
    expect(error).toBeInstanceOf(api.LettaAppError);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      code,
      name: Class.name,
      message: "words (do this)",
      hint: "do this",
      retryable: false,
    });
    const isOfTurn = code.startsWith("turn_") || code === "approval_required";
    expect(error instanceof api.TurnError).toBe(isOfTurn);
    expect(Object.values(api)).toContain(Class);
  }
});

it("says everything in the spelling of this language", () => {
  const hintOf = (hint: string) =>
    errorFromJson(
      JSON.stringify({ code: "auth", message: "m", hint, result: null, response: null }),
    ).hint;
  expect(hintOf("a longer `settle_pause` avoids it")).toBe("a longer `settlePauseMs` avoids it");
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
      "LettaAppError",
      "MessageTooLarge",
      "ProtocolMismatch",
      "RequestError",
      "RequestTimeout",
      "ServerStartError",
      "Session",
      "StructuredOutputError",
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
      "isAppServerInfoResponseMessage",
      "map",
      "policy",
      "rawText",
      "resolveAppServerChannelUrl",
      "resolveAppServerUrl",
      "spawnAppServer",
      "tool",
      "toolSet",
    ]
  `);
});
