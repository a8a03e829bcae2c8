import { runInNewContext } from "node:vm";
import {
  AbortError,
  type AppServerClient,
  InvalidOption,
  rawText,
  type WsProtocolMessage,
} from "@letta/app-client-native";
import { expect, it, onTestFinished } from "vitest";
import {
  connected,
  nextWarning,
  rejection,
  say,
  startMock,
  startRuntime,
  thrown,
} from "./helpers.js";

/** Resolves with the first message of a type. */
function next(client: AppServerClient, type: string): Promise<WsProtocolMessage> {
  return new Promise((resolve) => {
    const off = client.onMessage((message) => {
      if (message.type !== type) return;
      off();
      resolve(message);
    });
  });
}

it("calls message handlers in order, before the response resolves", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const seen: string[] = [];
  client.onMessage((message, channel) => seen.push(`first ${channel} ${message.type}`));
  const off = client.onMessage((message) => seen.push(`second ${message.type}`));
  const info = await client.info();
  seen.push("resolved");
  expect(seen).toEqual([
    "first control app_server_info_response",
    "second app_server_info_response",
    "resolved",
  ]);
  off();
  off();
  await client.info();
  expect(seen.slice(3)).toEqual(["first control app_server_info_response"]);
  expect(JSON.parse(rawText(info) ?? "")).toEqual(info);
});

it("misses nothing that comes after an answer", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const runtime = await startRuntime(client);
  // The snapshot comes in one burst with the response, before this line could be reached.
  expect(await next(client, "update_device_status")).toMatchObject({ runtime });
});

it("tells the socket of a split server", async () => {
  const mock = await startMock({ generation: "split", turnEvents: false, correlation: false });
  const client = await connected(mock);
  const channels = new Map<string, string>();
  client.onMessage((message, channel) => channels.set(message.type, channel));
  const runtime = await startRuntime(client);
  await client.runTurn({ runtime, payload: say("?") });
  expect(channels.get("runtime_start_response")).toBe("control");
  expect(channels.get("stream_delta")).toBe("stream");
});

it("passes unknown frames on, byte for byte", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  await client.info();
  const coming = next(client, "brand_new");
  const text = '{ "type":"brand_new", "big": 12345678901234567890, "n":1.50 }';
  mock.push("this is no JSON");
  mock.push(text);
  expect(rawText(await coming)).toBe(text);
  expect(client.stats).toMatchObject({ malformed: 1, dropped: 0 });
  expect(rawText({})).toBeUndefined();
});

it("reports and counts handlers that fail, and runs the others", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  let calls = 0;
  client.onMessage(() => {
    throw new Error("broken handler");
  });
  client.onMessage(() => {
    calls += 1;
  });
  const warning = nextWarning("AppClientHandlerWarning");
  await client.info();
  expect((await warning).message).toContain("broken handler");
  const asynchronous = nextWarning("AppClientHandlerWarning");
  client.onSend(async () => {
    throw new Error("broken promise");
  });
  client.sendRaw({ type: "x" });
  expect((await asynchronous).message).toContain("onSend failed: broken promise");
  expect(calls).toBe(1);
  expect(client.stats.handlerErrors).toBe(2);
});

it("shows commands before they are sent, in the order of registration", async () => {
  const mock = await startMock([{ hang: true }]);
  const client = await connected(mock);
  const runtime = await startRuntime(client);
  const seen: unknown[] = [];
  client.onSend((command) => seen.push(command));
  const off = client.onSend(() => seen.push("second"));
  client.sendRaw({ type: "x" });
  expect(seen).toEqual([{ type: "x" }, "second"]);
  off();
  const aborted = new Promise((resolve) => {
    client.onSend((command) => {
      if (command.type === "abort_message") resolve(command);
    });
  });
  // What is shown of an input is what goes over the wire; the abort is the engine's own.
  const turn = client.runTurn({ runtime, payload: say("?") }, { timeoutMs: 50 }).catch(() => {});
  expect(await aborted).toMatchObject({ runtime });
  await turn;
  expect(seen[2]).toEqual(mock.receivedOf("input")[0]);
});

it("shows commands with the ids that go over the wire", async () => {
  const mock = await startMock({ answers: { list_models: { entries: [] } } });
  const client = await connected(mock);
  const runtime = await startRuntime(client);
  const seen: unknown[] = [];
  client.onSend((command) => seen.push(command));
  client.onSend(() => {
    throw new Error("no veto");
  });
  const warned = nextWarning("AppClientHandlerWarning");
  client.send({ type: "read_file", path: "x" } as never);
  await client.request({ type: "list_models" } as never);
  await client.request("list_models");
  client.sendRaw({ type: "future_command" });
  const messages = [{ role: "user" as const, content: "?", client_message_id: "" }];
  await client.runTurn({ runtime, payload: { kind: "create_message", messages } });
  expect(seen).toEqual(mock.received.slice(-5));
  for (const command of seen.slice(0, 3)) {
    expect(command).toMatchObject({ request_id: expect.any(String) });
  }
  expect(seen[3]).toEqual({ type: "future_command" });
  await warned;
});

it("hears of an abort that an onSend handler makes", async () => {
  const mock = await startMock([{ hang: true }]);
  const client = await connected(mock);
  const runtime = await startRuntime(client);
  let abort = new AbortController();
  client.onSend(() => abort.abort());
  expect(
    await rejection(client.request("list_models", {}, { signal: abort.signal })),
  ).toBeInstanceOf(AbortError);
  abort = new AbortController();
  const turn = client.runTurn({ runtime, payload: say("?") }, { signal: abort.signal });
  expect(await rejection(turn)).toBeInstanceOf(AbortError);
});

it("calls handlers that change the handlers only once", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const seen: string[] = [];
  const arm = () => {
    const off = client.onMessage(() => {
      seen.push("armed");
      if (seen.length > 100) throw new Error("called for ever");
      off();
      arm();
      offSecond();
    });
  };
  arm();
  const offSecond = client.onMessage(() => seen.push("removed"));
  await client.info();
  expect(seen).toEqual(["armed"]);
  await client.info();
  expect(seen).toEqual(["armed", "armed"]);
});

it("reports errors that have no text", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const strange = new Error("never seen");
  Object.defineProperty(strange, "message", {
    get: () => {
      throw strange;
    },
  });
  for (const value of [Object.create(null), strange, Symbol("s"), undefined]) {
    const warned = nextWarning("AppClientHandlerWarning");
    const off = client.onMessage(() => {
      throw value;
    });
    await client.info();
    off();
    expect((await warned).message).toContain("onMessage failed");
  }
  expect(client.stats.handlerErrors).toBe(4);
  expect(() => client.onSend(Object.create(null))).toThrow(InvalidOption);
});

it("reports what a promise of another realm rejects with", async () => {
  const client = await connected(await startMock());
  const warned = nextWarning("AppClientHandlerWarning");
  client.onMessage(runInNewContext("async () => { throw 'no display'; }"));
  await client.info();
  expect((await warned).message).toContain("onMessage failed: no display");
});

it("tells of frames that were dropped, once", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const warnings: Error[] = [];
  const listen = (warning: Error) => warnings.push(warning);
  process.on("warning", listen);
  onTestFinished(() => void process.off("warning", listen));
  const lag = async () => {
    const before = client.stats.bytes;
    const [frames, size] = [72, 1024 * 1024];
    for (let count = 0; count < frames; count += 1) {
      mock.push({ type: "large", text: "x".repeat(size) });
    }
    // This thread fetches nothing while it counts; the mailbox holds 64 MiB.
    while (client.stats.bytes < before + frames * size);
    await client.info();
  };
  const dropped: number[] = [];
  const off = client.onLagged((count) => dropped.push(count));
  await lag();
  expect(dropped).toEqual([client.stats.dropped]);
  expect(client.stats.dropped).toBeGreaterThan(0);
  off();
  const warned = nextWarning("AppClientLagWarning");
  await lag();
  await warned;
  expect(warnings.filter(({ name }) => name === "AppClientLagWarning")).toHaveLength(1);
  expect(dropped).toHaveLength(1);
});

it("refuses handlers that are no functions", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const runtime = { agent_id: "a", conversation_id: "c" };
  for (const [name, call] of Object.entries({
    onMessage: () => client.onMessage("5" as never),
    onState: () => client.onState("5" as never),
    onSend: () => client.onSend("5" as never),
    onDisconnect: () => client.onDisconnect("5" as never),
    onLagged: () => client.onLagged("5" as never),
    onExternalToolCall: () => client.onExternalToolCall("5" as never, { runtime }),
    onApprovalRequest: () => client.onApprovalRequest("5" as never),
  })) {
    expect(thrown(call)).toMatchObject({
      code: "invalid_option",
      message: `${name}: expected a function, got "5"`,
    });
  }
});
