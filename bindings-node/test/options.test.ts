import { runInNewContext } from "node:vm";
import {
  type AppServerClient,
  type AppServerClientOptions,
  allow,
  connect,
  createAppServerClient,
  InvalidOption,
  resolveAppServerChannelUrl,
  resolveAppServerUrl,
} from "@letta/app-client-native";
import { MockServer } from "@letta/app-client-native/testing";
import { describe, expect, it } from "vitest";
import { connected, prepared, rejection, say, startMock, thrown } from "./helpers.js";

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
    ["a pause without end", { url, settlePauseMs: Number.POSITIVE_INFINITY }, "settlePauseMs"],
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
    if (name === "settlePauseMs") expect((error as Error).message).toMatch(/, got (-1|Infinity)$/);
    expect((error as Error).message).toMatch(new RegExp(`^${name.replace(".", "\\.")}:`));
  });
});

it("says what it takes in its own names, whoever has refused it", async () => {
  const words = (options: object) =>
    (thrown(() => createAppServerClient({ url, ...options })) as Error).message;
  for (const [options, message] of [
    [{ connectTimeoutMs: 0 }, "connectTimeoutMs: expected milliseconds above 0, got 0"],
    [{ requestTimeoutMs: -1 }, "requestTimeoutMs: expected milliseconds above 0, got -1"],
    [{ externalToolTimeoutMs: 0 }, "externalToolTimeoutMs: expected milliseconds above 0, got 0"],
    [
      { externalToolConcurrency: 0 },
      "externalToolConcurrency: expected a number above zero, got 0",
    ],
    [
      { settlePauseMs: Infinity },
      "settlePauseMs: expected milliseconds, less than a year, got Infinity",
    ],
    [
      { settlePauseMs: 4e10 },
      "settlePauseMs: expected a finite wait of less than a year, got 40000000 seconds",
    ],
    [
      { reconnect: { baseMs: Infinity } },
      "reconnect.baseMs: expected milliseconds, less than a year, got Infinity",
    ],
    [{ reconnect: { baseMs: 0 } }, "reconnect.baseMs: expected milliseconds above 0, got 0"],
    [
      { reconnect: { baseMs: 2000, capMs: 1500 } },
      "reconnect.capMs: expected at least reconnect.baseMs (2s), got 1.5s",
    ],
    [
      { reconnect: { maxAttempts: 0 } },
      "reconnect.maxAttempts: expected a number above zero, got 0",
    ],
    [
      { record: { path: "never made", maxBytes: 0 } },
      "record.maxBytes: expected a number from 1, got 0",
    ],
  ] as const) {
    expect(words(options)).toBe(message);
  }
  const client = createAppServerClient({ url });
  for (const [timeoutMs, message] of [
    [0, "timeoutMs: expected milliseconds above 0, got 0"],
    [-1, "timeoutMs: expected milliseconds above 0, or Infinity, got -1"],
  ] as const) {
    const failure = await rejection(client.request("list_models", {}, { timeoutMs }));
    expect([(failure as Error).name, (failure as Error).message]).toEqual([
      "InvalidOption",
      message,
    ]);
  }
  await client.close();
});

describe("options are an object", () => {
  const cases: [string, (client: AppServerClient, options: never) => unknown][] = [
    ["connect", (c, options) => c.connect(options)],
    ["session", (c, options) => c.session(options)],
    ["run", async (c, options) => (await c.session({ agentId: "a" })).run("?", options)],
    ["send", async (c, options) => (await c.session({ agentId: "a" })).send("?", options)],
    ["stream", async (c, options) => (await c.session({ agentId: "a" })).stream("?", options)],
    ["runTurn", async (c, options) => c.runTurn({ runtime: {} } as never, options)],
    ["onExternalToolCall", (c, options) => c.onExternalToolCall(() => ({}) as never, options)],
    ["onApprovalRequest", (c, options) => c.onApprovalRequest(() => allow(), options)],
    ["agents.all", (c, options) => c.agents.all(options).next()],
    ["conversations.all", (c, options) => c.conversations.all(options).next()],
    ["conversations.messages", (c, options) => c.conversations.messages("c", options).next()],
  ];
  it.each(cases)("of %s", async (_, call) => {
    const client = await connected(await startMock());
    for (const options of [null, 5, "x"] as never[]) {
      const failure = await rejection(Promise.resolve().then(() => call(client, options)));
      expect(failure).toBeInstanceOf(InvalidOption);
      expect((failure as Error).message).toMatch(/^options: expected an object/);
    }
  });
});

it("names a prefix that is none", async () => {
  const client = createAppServerClient({ url });
  for (const prefix of [5, null] as never[]) {
    const failure = thrown(() => client.nextRequestId(prefix));
    expect(failure).toBeInstanceOf(InvalidOption);
    expect((failure as Error).message).toMatch(/^prefix: /);
  }
  await client.close();
});

it("takes null for a limit that is left out", async () => {
  const { client, runtime } = await prepared([{ text: "42" }]);
  const nothing: object = {
    check: null,
    timeoutMs: null,
    idleTimeoutMs: null,
    toolTimeoutMs: null,
    approvalTimeoutMs: null,
    abortGraceMs: null,
    acceptTimeoutMs: null,
    recoverTimeoutMs: null,
    resend: null,
  };
  expect(await client.runTurn({ runtime, payload: say("?") }, nothing)).toMatchObject({
    text: "42",
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

it("takes a URL wherever it takes the text of one", async () => {
  const mock = await startMock();
  const url = new URL(mock.url);
  const foreign = runInNewContext("url", { url });
  for (const target of [url, { url }, foreign]) {
    await (await connect(target)).close();
  }
  expect(createAppServerClient({ url }).state).toBe("new");
  expect(resolveAppServerUrl(url)).toBe(resolveAppServerUrl(mock.url));
  expect(await rejection(connect(new URL("ftp://h")))).toMatchObject({
    message: expect.stringMatching(/^url: /),
  });
});
