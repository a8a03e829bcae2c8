import {
  ClientClosed,
  isAppServerInfoResponseMessage,
  type ListModelsResponseMessage,
} from "@letta/app-client-native";
import { expect, it } from "vitest";
import { connected, rejection, say, startMock, startRuntime } from "./helpers.js";

it("asks for what the server is", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const info = await client.info();
  expect(isAppServerInfoResponseMessage(info)).toBe(true);
  expect(isAppServerInfoResponseMessage({ ...info, backend: "other" })).toBe(false);
  expect(isAppServerInfoResponseMessage({ ...info, capabilities: [] })).toBe(false);
  expect(isAppServerInfoResponseMessage(null)).toBe(false);
});

it("starts runtimes, syncs and aborts", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const started = await client.runtimeStart({
    request_id: "mine",
    agent_id: "agent-1",
    create_conversation: { body: {} },
    mode: "standard",
    client_info: { name: "test", version: "1" },
  });
  expect(started).toMatchObject({
    success: true,
    request_id: "mine",
    type: "runtime_start_response",
  });
  const { runtime } = started;
  if (!runtime) throw new Error("no runtime");
  expect(await client.sync({ runtime, force_device_status: true })).toMatchObject({
    success: true,
  });
  expect(await client.abort({ runtime })).toMatchObject({ success: true, aborted: false });
  const types = mock.received.map((frame) => (frame as { type: string }).type);
  expect(types).toEqual(["runtime_start", "sync", "abort_message"]);
});

it("sends other commands, and resolves with what the server answers", async () => {
  const answers = {
    list_models: { entries: [] },
    runtime_external_tools_update: { updated: true },
    agent_retrieve: { success: false, agent: null, error: "no such agent" },
  };
  const mock = await startMock({ answers });
  const client = await connected(mock);
  expect(await client.conversationList()).toMatchObject({ success: true, conversations: [] });
  const runtime = await startRuntime(client);
  const updates = [{ runtimes: [runtime], external_tools: [] }];
  const updated = await client.runtimeExternalToolsUpdate({ updates });
  expect(updated).toMatchObject({ success: true });
  const models = await client.request<"list_models", ListModelsResponseMessage>("list_models", {
    force: true,
  });
  expect(models.entries).toEqual([]);
  expect(mock.receivedOf("list_models")[0]).toMatchObject({ force: true });
  const id = client.nextRequestId("agent");
  const refused = await client.request({ type: "agent_retrieve", request_id: id, agent_id: "x" });
  expect(refused).toMatchObject({ success: false, error: "no such agent", request_id: id });
});

it("lets a predicate choose the answer", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const isSecond = (message: unknown): message is { type: string; n: number } =>
    (message as { n?: number }).n === 2;
  const raw = client.requestRaw(
    { type: "future_command", request_id: "r-1" },
    { predicate: isSecond },
  );
  await mock.waitReceived("future_command");
  mock.push({ type: "progress", request_id: "r-1", n: 1 });
  mock.push({ type: "progress", request_id: "other", n: 2 });
  mock.push({ type: "future_response", request_id: "r-1", n: 2 });
  expect(await raw).toEqual({ type: "future_response", request_id: "r-1", n: 2 });

  const failing = client.request(
    "list_models",
    { request_id: "r-2" },
    {
      predicate: (_message): _message is never => {
        throw new Error("bad predicate");
      },
    },
  );
  const failed = failing.catch((error: Error) => error.message);
  await mock.waitReceived("list_models");
  mock.push({ type: "list_models_response", request_id: "r-2" });
  expect(await failed).toBe("bad predicate");
});

it("refuses predicates that are no functions before it sends", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  for (const predicate of ["sync_response", null, Object.create(null)] as never[]) {
    for (const call of [
      () => client.request("list_models", {}, { predicate }),
      () => client.request({ type: "list_models", request_id: "r" }, { predicate }),
      () => client.requestRaw({ type: "list_models", request_id: "r" }, { predicate }),
    ]) {
      expect(await rejection(call())).toMatchObject({
        code: "invalid_option",
        message: expect.stringMatching(/^predicate: /),
      });
    }
  }
  await client.info();
  mock.assertReceived("list_models", { times: 0 });
});

it("makes request ids that differ", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const ids = ["req", "req", "sync"].map((prefix) => client.nextRequestId(prefix));
  expect(new Set(ids).size).toBe(3);
  expect(client.nextRequestId()).toMatch(/^req-/);
});

it("sends inputs with and without waiting for their acceptance", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const runtime = await startRuntime(client);
  const accepted = await client.submitInput({ runtime, payload: say("first") });
  expect(accepted).toMatchObject({
    type: "input_accepted",
    accepted: true,
    disposition: "started",
  });
  client.input({ runtime, payload: say("second") });
  expect(await mock.waitReceived("input", 2)).toBe(true);
  client.send({ type: "change_device_state", runtime, payload: { mode: "standard" } });
  client.sendRaw({ type: "some_future_command", x: 1 });
  expect(await mock.waitReceived("some_future_command")).toBe(true);
  expect(mock.receivedOf("some_future_command")).toEqual([{ type: "some_future_command", x: 1 }]);
  expect(mock.receivedOf("input")[1]).not.toHaveProperty("request_id");
});

it("resolves with a refused input", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const runtime = await startRuntime(client);
  const answer = await client.submitInput({
    runtime,
    payload: { kind: "approval_response", request_id: "gone", decision: { behavior: "allow" } },
  });
  expect(answer).toMatchObject({ accepted: false });
});

it("lets requests that are made together go out in their order, before what is sent behind them", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const runtime = await startRuntime(client);
  const requests = [1, 2, 3].map(() => client.sync({ runtime }));
  client.sendRaw({ type: "some_future_command" });
  const last = client.sync({ runtime });
  await Promise.all([...requests, last]);
  const types = mock.received.map((frame) => (frame as { type: string }).type);
  expect(types.slice(1)).toEqual(["sync", "sync", "sync", "some_future_command", "sync"]);
});

it("ends requests that were made just before it was closed", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const runtime = await startRuntime(client);
  const outcomes = Promise.allSettled([1, 2, 3].map(() => client.sync({ runtime })));
  await client.close();
  for (const outcome of await outcomes) {
    if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(ClientClosed);
    else expect(outcome.value).toMatchObject({ success: true });
  }
  expect(mock.receivedOf("sync")).toHaveLength(3);
});
