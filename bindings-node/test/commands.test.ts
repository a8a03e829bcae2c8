import {
  AbortError,
  type AppServerClient,
  ClientClosed,
  InvalidCommand,
  InvalidOption,
  LettaAppError,
  MessageTooLarge,
  RequestTimeout,
} from "@letta/app-client-native";
import { describe, expect, it } from "vitest";
import { connected, rejection, say, startMock, startRuntime, thrown } from "./helpers.js";

const runtime = { agent_id: "a", conversation_id: "c" };
type Case = [string, (client: AppServerClient) => unknown, string];

/** Calls as a program without types would make them. */
const untyped = (client: AppServerClient) => client as unknown as Record<string, CallableFunction>;

async function failure(call: () => unknown): Promise<LettaAppError> {
  const error = await rejection(Promise.resolve().then(call));
  expect(error).toBeInstanceOf(LettaAppError);
  return error as LettaAppError;
}

describe("bad commands are refused by field, before anything is sent", () => {
  const circular: Record<string, unknown> = { type: "sync" };
  circular.self = circular;
  const cases: Case[] = [
    ["text instead of a command", (c) => untyped(c).send?.("sync"), "command"],
    ["nothing instead of a command", (c) => untyped(c).sendRaw?.(undefined), "command"],
    ["null", (c) => untyped(c).input?.(null), "command"],
    ["an array", (c) => untyped(c).sendRaw?.([1]), "command"],
    ["no type", (c) => untyped(c).sendRaw?.({}), "type"],
    ["a type that is no text", (c) => untyped(c).sendRaw?.({ type: 7 }), "type"],
    [
      "a bigint",
      (c) => c.sendRaw({ type: "x", value: 1n }),
      "field `value`: expected a JSON value",
    ],
    [
      "a circle",
      (c) => c.sendRaw(circular as { type: string }),
      "field `self`: it contains itself",
    ],
    ["no runtime", (c) => untyped(c).sync?.({}), "runtime"],
    ["an empty agent", (c) => c.sync({ runtime: { ...runtime, agent_id: "" } }), "agent_id"],
    ["an unknown mode", (c) => untyped(c).runtimeStart?.({ agent_id: "a", mode: "yolo" }), "mode"],
    ["neither agent", (c) => c.runtimeStart({}), "agent_id"],
    [
      "both agents",
      (c) => c.runtimeStart({ agent_id: "a", create_agent: { body: {} } }),
      "agent_id",
    ],
    ["a bad path", (c) => untyped(c).request?.("read_file", { path: 5 }), "path"],
    ["no body", (c) => untyped(c).request?.("read_file", null), "command"],
    [
      "nothing to wait for",
      (c) => untyped(c).request?.("terminal_kill", { terminal_id: "t" }),
      "terminal_kill",
    ],
    [
      "messages that are none",
      (c) => untyped(c).sendTurn?.({ runtime, payload: { kind: "create_message", messages: 5 } }),
      "messages",
    ],
    ["no payload", (c) => untyped(c).runTurn?.({ runtime }), "payload"],
    [
      "no message",
      (c) => c.runTurn({ runtime, payload: { kind: "create_message", messages: [] } }),
      "messages",
    ],
    [
      "a denial without a message",
      (c) =>
        untyped(c).submitInput?.({
          runtime,
          payload: { kind: "approval_response", request_id: "r", decision: { behavior: "deny" } },
        }),
      "message",
    ],
  ];
  it.each(cases)("%s", async (_, call, word) => {
    const mock = await startMock();
    const client = await connected(mock);
    const error = await failure(() => call(client));
    expect(error).toBeInstanceOf(InvalidCommand);
    expect(error.message).toContain(word);
    expect(mock.received).toEqual([]);
  });
});

describe("a slip of a field is refused by the methods for one command", () => {
  const message = { role: "user", content: "hi", client_mesage_id: "m" };
  const payload = { kind: "create_message", messages: [message] };
  const inner = "payload.messages[0].client_mesage_id";
  const meant = (near: string) => `did you mean \`${near}\`?`;
  const spawn = { terminal_id: "t", cols: 1, rows: 1 };
  const cases: [string, (client: AppServerClient) => unknown, string, string][] = [
    [
      "runtimeStart",
      (c) => untyped(c).runtimeStart?.({ agnt_id: "a" }),
      "`runtime_start`: field `agnt_id`",
      meant("agent_id"),
    ],
    [
      "sync",
      (c) => untyped(c).sync?.({ runtime, recoverApprovals: true }),
      "`sync`: field `recoverApprovals`",
      meant("recover_approvals"),
    ],
    [
      "abort",
      (c) => untyped(c).abort?.({ runtime, run_di: "r" }),
      "`abort_message`: field `run_di`",
      meant("run_id"),
    ],
    [
      "conversationList",
      (c) => untyped(c).conversationList?.({ qurey: {} }),
      "`conversation_list`: field `qurey`",
      meant("query"),
    ],
    [
      "runtimeExternalToolsUpdate",
      (c) => untyped(c).runtimeExternalToolsUpdate?.({ update: [] }),
      "`runtime_external_tools_update`: field `update`",
      meant("updates"),
    ],
    ...["input", "submitInput", "runTurn", "sendTurn"].map((method): (typeof cases)[number] => [
      method,
      (c) => untyped(c)[method]?.({ runtime, payload }),
      `\`input\`: field \`${inner}\``,
      meant("client_message_id"),
    ]),
    [
      "a family",
      (c) => c.files.read({ path: "x", encodng: "utf8" } as never),
      "`read_file`: field `encodng`",
      meant("encoding"),
    ],
    [
      "a family that waits for nothing",
      (c) => c.terminals.kill({ terminal_id: "t", terminalId: "t" } as never),
      "`terminal_kill`: field `terminalId`",
      meant("terminal_id"),
    ],
    [
      "an option of the method",
      (c) => c.terminals.spawn({ ...spawn, timeoutMs: 5 } as never),
      "`terminal_spawn`: field `timeoutMs`",
      "it is an option of the method",
    ],
  ];
  it.each(cases)("%s", async (_, call, path, words) => {
    const mock = await startMock();
    const client = await connected(mock);
    const error = await failure(() => call(client));
    expect(error).toBeInstanceOf(InvalidCommand);
    expect(error.message).toContain(`${path}: is no field of this command; ${words}`);
    expect(error.hint).toBe("a whole command, given to request, may have any field");
    expect(mock.received).toEqual([]);
  });

  it("but not in whole commands, nor are fields of later servers", async () => {
    const mock = await startMock();
    const client = await connected(mock);
    const scope = await startRuntime(client);
    await client.runtimeStart({ agent_id: "agent-1", model: "x", agent: "x" } as never);
    await client.request("sync", { runtime: scope, recoverApprovals: true } as never);
    client.send({ type: "sync", runtime: scope, force_devise_status: 1 } as never);
    client.sendRaw({ type: "sync", runtime: scope, force_devise_status: 2 });
    await client.info();
    expect(mock.received).toMatchObject([
      { type: "runtime_start" },
      { model: "x", agent: "x" },
      { recoverApprovals: true },
      { force_devise_status: 1 },
      { force_devise_status: 2 },
      { type: "app_server_info" },
    ]);
  });
});

describe("bad options of calls", () => {
  const cases: Case[] = [
    ["a limit of nothing", (c) => c.info({ timeoutMs: 0 }), "timeoutMs"],
    ["a limit as text", (c) => untyped(c).info?.({ timeoutMs: "5" }), "timeoutMs"],
    ["options as text", (c) => untyped(c).info?.("5"), "options"],
    [
      "a negative idle limit",
      (c) => c.runTurn({ runtime, payload: say("x") }, { idleTimeoutMs: -1 }),
      "idleTimeoutMs",
    ],
    [
      "unknown approvals",
      (c) => untyped(c).runTurn?.({ runtime, payload: say("x") }, { approvals: "no" }),
      "approvals",
    ],
    ["another signal", (c) => untyped(c).info?.({ signal: "no" }), "signal"],
    ["no predicate", (c) => untyped(c).requestRaw?.({ type: "x", request_id: "r" }), "predicate"],
  ];
  it.each(cases)("%s", async (_, call, name) => {
    const mock = await startMock();
    const client = await connected(mock);
    const error = await failure(() => call(client));
    expect(error).toBeInstanceOf(InvalidOption);
    expect(error.message).toMatch(new RegExp(`^${name}:`));
    expect(mock.received).toEqual([]);
  });
});

it("refuses a message above the limit, by name and sizes", async () => {
  const mock = await startMock();
  const client = await connected(mock, { maxMessageBytes: 1000 });
  const error = thrown(() => client.sendRaw({ type: "big", text: "x".repeat(2000) }));
  expect(error).toBeInstanceOf(MessageTooLarge);
  expect((error as Error).message).toMatch(/`big`.*20\d\d.*1000/);
  expect((error as MessageTooLarge).hint).toMatch(/^`maxMessageBytes` is the limit/);
  expect(mock.received).toEqual([]);
});

it("refuses everything after close", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  await client.close();
  const calls: (() => unknown)[] = [
    () => client.send({ type: "sync", runtime }),
    () => client.sendRaw({ type: "x" }),
    () => client.input({ runtime, payload: say("x") }),
    () => client.connect(),
    () => client.info(),
    () => client.runTurn({ runtime, payload: say("x") }),
  ];
  for (const call of calls) expect(await failure(call)).toBeInstanceOf(ClientClosed);
  expect(mock.received).toEqual([]);
});

it("gives up on a silent server", async () => {
  const mock = await startMock();
  const client = await connected(mock, { requestTimeoutMs: 50 });
  expect(await failure(() => client.request("list_models"))).toBeInstanceOf(RequestTimeout);
  const error = await failure(() => client.request("list_models", {}, { timeoutMs: 20 }));
  expect(error).toMatchObject({ code: "request_timeout", retryable: true });
  expect(error.message).toContain("`list_models` within 0.02 s");
});

it("lets nothing be sent when the signal is aborted already", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const signal = AbortSignal.abort("no");
  expect(await rejection(client.info({ signal }))).toBeInstanceOf(AbortError);
  expect(mock.received).toEqual([]);
});

it("lets many calls share a signal, without a word on standard error", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const warnings: Error[] = [];
  const listen = (warning: Error) => warnings.push(warning);
  process.on("warning", listen);
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 50 }, () => client.info({ signal })));
  process.off("warning", listen);
  expect(warnings).toEqual([]);
});

it("stops waiting when the signal says so", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const abort = new AbortController();
  const waiting = rejection(client.request("list_models", {}, { signal: abort.signal }));
  await mock.waitReceived("list_models");
  abort.abort("enough");
  expect(await waiting).toMatchObject({ name: "AbortError", cause: "enough" });
  // A late answer is nobody's, and the connection works on.
  const [{ request_id }] = mock.receivedOf("list_models") as [{ request_id: string }];
  mock.push({ type: "list_models_response", request_id, success: true, entries: [] });
  expect(await startRuntime(client)).toHaveProperty("agent_id", "agent-1");
});

it("leaves out what is undefined", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  await client.runtimeStart({ agent_id: "agent-1", cwd: undefined, request_id: undefined });
  const [start] = mock.receivedOf("runtime_start");
  expect(Object.keys(start ?? {}).sort()).toEqual(["agent_id", "request_id", "type"]);
});
