import {
  type AppServerClientOptions,
  createAppServerClient,
  InvalidOption,
  resolveAppServerChannelUrl,
  resolveAppServerUrl,
} from "@letta/app-client-native";
import { MockServer } from "@letta/app-client-native/testing";
import { describe, expect, it } from "vitest";
import { rejection, thrown } from "./helpers.js";

const url = "ws://127.0.0.1:4500";

describe("options that cannot be used are refused by name", () => {
  const cases: [string, unknown, string][] = [
    ["no options", undefined, "options"],
    ["no URL", {}, "url"],
    ["not a URL", { url: "127.0.0.1:4500" }, "url"],
    ["another scheme", { url: "ftp://127.0.0.1" }, "url"],
    ["no host", { url: "ws://" }, "url"],
    ["a bad port", { url: "ws://127.0.0.1:99999" }, "url"],
    ["an empty token", { url, authToken: " " }, "authToken"],
    ["a token with a line break", { url, authToken: "a\nb" }, "authToken"],
    ["a token that is no text", { url, authToken: 5 }, "authToken"],
    ["an unknown transport", { url, transport: "both" }, "transport"],
    ["no time at all", { url, connectTimeoutMs: 0 }, "connectTimeoutMs"],
    ["a negative time", { url, requestTimeoutMs: -1 }, "requestTimeoutMs"],
    ["a time that is no number", { url, keepaliveIntervalMs: Number.NaN }, "keepaliveIntervalMs"],
    ["a time as text", { url, keepaliveTimeoutMs: "5" }, "keepaliveTimeoutMs"],
    ["a size of nothing", { url, maxMessageBytes: 0 }, "maxMessageBytes"],
    ["a negative pause", { url, settlePauseMs: -1 }, "settlePauseMs"],
    ["no tools at once", { url, externalToolConcurrency: 0 }, "externalToolConcurrency"],
    ["no time for tools", { url, externalToolTimeoutMs: 0 }, "externalToolTimeoutMs"],
    ["tools at once as text", { url, externalToolConcurrency: "4" }, "externalToolConcurrency"],
    ["tls as text", { url, tls: "no" }, "tls"],
    ["tls with a number", { url, tls: { ca: 1 } }, "tls.ca"],
  ];
  it.each(cases)("%s", (_, options, name) => {
    const error = thrown(() => createAppServerClient(options as AppServerClientOptions));
    expect(error).toBeInstanceOf(InvalidOption);
    expect(error).toMatchObject({ code: "invalid_option", retryable: false });
    expect((error as Error).message).toMatch(new RegExp(`^${name.replace(".", "\\.")}:`));
  });
});

it("accepts every option, and ignores WebSocket", async () => {
  const client = createAppServerClient({
    url,
    authToken: "token",
    WebSocket: class {},
    requestTimeoutMs: 1,
    transport: "single",
    connectTimeoutMs: Number.POSITIVE_INFINITY,
    keepaliveIntervalMs: 1.5,
    keepaliveTimeoutMs: 1,
    maxMessageBytes: 1,
    tls: { rejectUnauthorized: false },
    settlePauseMs: 0,
    externalToolConcurrency: 1,
    externalToolTimeoutMs: 1,
  });
  expect(client.state).toBe("new");
  await client.close();
});

it("resolves addresses", () => {
  expect(resolveAppServerUrl("http://localhost:4500")).toBe("ws://localhost:4500/ws");
  expect(resolveAppServerUrl("https://example.org/custom")).toBe("wss://example.org/custom");
  expect(resolveAppServerUrl("ws://h:1/?channel=control&a=1")).toBe("ws://h:1/ws?a=1");
  expect(resolveAppServerChannelUrl("ws://h:1", "stream")).toBe("ws://h:1/ws");
  expect(thrown(() => resolveAppServerUrl("ftp://h"))).toBeInstanceOf(InvalidOption);
});

it("keeps the rest of a query as it is", () => {
  const query = "a=1%202&b=x+y&c&d=%2F";
  const url = `ws://h:1/x?${query}&channel=stream&channels=2`;
  expect(resolveAppServerUrl(url)).toBe(`ws://h:1/x?${query}&channels=2`);
  expect(resolveAppServerUrl("ws://h:1/x?channel=control")).toBe("ws://h:1/x");
});

it.each([
  "nonsense",
  "ws:h:1",
  "ws://u:p@h",
  "ws://u@h",
  "ws://b\u00fccher.example",
  "ws://h:0",
  "ftp://h",
  5 as never,
  Object.create(null) as never,
])("resolves no address that a client would refuse (%#)", async (address) => {
  for (const call of [
    () => resolveAppServerUrl(address),
    () => createAppServerClient({ url: address }),
  ]) {
    const error = thrown(call);
    expect(error).toBeInstanceOf(InvalidOption);
    expect((error as InvalidOption).message).toMatch(/^url: /);
  }
});

it("refuses scripts and recordings that cannot be read", async () => {
  expect(await rejection(MockServer.start({ generation: "third" as never }))).toBeInstanceOf(
    InvalidOption,
  );
  expect(await rejection(MockServer.play("no such file"))).toBeInstanceOf(InvalidOption);
});
