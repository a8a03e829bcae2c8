/** Conversations the way programs use them, against the server double. */

import {
  AbortError,
  type ApprovalHandler,
  ApprovalRequired,
  allow,
  deny,
  map,
  policy,
  RequestError,
  type SessionOptions,
  TurnFailed,
  type TurnResult,
  tool,
  toolSet,
} from "@letta/app-client-native";
import type { ScriptOptions } from "@letta/app-client-native/testing";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  collected,
  connected,
  firstText,
  GENERATIONS,
  rejection,
  say,
  startMock,
} from "./helpers.js";

async function started(script: ScriptOptions, options: SessionOptions = { agentId: "agent-1" }) {
  const mock = await startMock(script);
  const client = await connected(mock);
  return { mock, client, session: await client.session(options) };
}

const asking = { text: "done", toolCalls: [{ name: "Write", needsApproval: true }] };

describe.each(GENERATIONS)("on a server with %s sockets", (_, generation) => {
  it("asks in two lines", async () => {
    const { mock, session } = await started({ ...generation, turns: [{ text: ["4", "2"] }] });
    const result = await session.run("?");
    expect(result).toMatchObject({ status: "completed", text: "42" });
    const again = await session.run([{ type: "text", text: "?" }]);
    expect(session.usage.totalTokens).toBe(result.usage.totalTokens + again.usage.totalTokens);
    expect(session).toMatchObject({ agentId: "agent-1", mode: "standard", cwd: undefined });
    // The server's own default would run every tool unasked.
    mock.assertReceived("runtime_start", { times: 1 });
    expect(mock.receivedOf("runtime_start")).toMatchObject([{ mode: "standard" }]);
  });
});

it.each<[options: object, words: string]>([
  [{ timeoutMs: -1 }, "timeoutMs: expected milliseconds above 0, or Infinity, got -1"],
  [{ timeoutMs: 0 }, "timeoutMs: expected milliseconds above 0, got 0"],
  [{ idleTimeoutMs: 0 }, "idleTimeoutMs: expected milliseconds above 0"],
  [{ abortGraceMs: -1 }, "abortGraceMs: expected a number of milliseconds, got -1"],
  [{ acceptTimeoutMs: 0 }, "acceptTimeoutMs: expected milliseconds above 0, got 0"],
  [{ recoverTimeoutMs: -5 }, "recoverTimeoutMs: expected a number of milliseconds, got -5"],
  [{ resend: "x" }, 'resend: expected "if_uncommitted" or "never"'],
])("refuses %j, with which no turn could be sent, before it starts", async (options, words) => {
  const mock = await startMock([{}]);
  const client = await connected(mock);
  const sent = mock.received.length;
  const given = { agentId: "a", ...options } as SessionOptions;
  const refused = { code: "invalid_option", message: expect.stringContaining(words) };
  expect(await rejection(client.session(given))).toMatchObject(refused);
  expect(mock.received.length).toBe(sent);
  const session = await client.session({ agentId: "a" });
  const outputSchema = { type: "object" } as const;
  expect(await rejection(session.run("?", { outputSchema, ...options }))).toMatchObject(refused);
  mock.assertReceived("runtime_external_tools_update", { times: 0 });
});

it("starts with further fields, which hold before its other options", async () => {
  const lookup = { name: "lookup", description: "", parameters: {} };
  const own = tool({ ...lookup, name: "own", parameters: { type: "object" }, execute: () => "" });
  const clientInfo = { name: "program", version: "1" };
  const { mock, session } = await started(
    { turns: [{}] },
    {
      agentId: "a",
      mode: "strict",
      tools: [own],
      clientInfo,
      fields: {
        mode: "acceptEdits",
        skill_sources: ["bundled"],
        external_tools: [{ tools: [lookup] }],
        create_conversation: { body: {} },
      },
    },
  );
  expect(session.mode).toBe("acceptEdits");
  const kept = {
    client_info: clientInfo,
    skill_sources: ["bundled"],
    external_tools: [{ tools: [lookup] }, { tools: [own.definition] }],
  };
  const [start] = mock.receivedOf("runtime_start");
  expect(start).toMatchObject({ ...kept, mode: "acceptEdits", create_conversation: { body: {} } });
  session.setMode("standard");
  await session.fork();
  const copy = mock.receivedOf("runtime_start").at(-1);
  expect(copy).toMatchObject({ ...kept, mode: "standard", agent_id: "a" });
  expect(copy).not.toHaveProperty("create_conversation");
});

it("looks whether a directory in the fields is there", async () => {
  const options = { agentId: "a", fields: { cwd: "/nowhere" } };
  const { session } = await started({ turns: [{}], directories: [] }, options);
  expect(session).toMatchObject({ cwd: "/home/user/project", cwdIgnored: true });
});

it("refuses fields that are none", async () => {
  const options = { agentId: "a", fields: 5 as never };
  expect(await rejection(started({ turns: [{}] }, options))).toMatchObject({
    code: "invalid_option",
    message: "fields: expected an object, got number",
  });
});

it("gives events, text alone, or the turn", async () => {
  const { session } = await started({ turns: [{ text: ["4", "2"] }] });
  const events = await collected(session.stream("?"));
  expect(events.at(-1)).toMatchObject({ type: "finished", result: { text: "42" } });
  expect((await collected(session.textStream("?"))).join("")).toBe("42");
  expect(await session.send("?")).toMatchObject({ text: "42" });
  expect(session.usage).toMatchObject({ promptTokens: 30, completionTokens: 6 });
});

it.each(["send", "run"] as const)("counts what a cancelled %s has used", async (how) => {
  const turn = {
    text: "begun",
    hang: true,
    toolCalls: [{ name: "Read" }],
    usage: [10, 2] as [number, number],
  };
  const { client, session } = await started({ turns: [turn] });
  const abort = new AbortController();
  const begun = firstText(client);
  const ended = new Promise<unknown>((resolve) => {
    client.onMessage(resolve, { types: ["turn_finished"] });
  });
  const failed = rejection(session[how]("?", { signal: abort.signal }));
  await begun;
  abort.abort();
  expect(await failed).toBeInstanceOf(AbortError);
  await ended;
  // What came before the answer has been seen.
  await client.sync({ runtime: session.runtime });
  // The run that was stopped has not said what it used.
  expect(session.usage).toMatchObject({ promptTokens: 10, totalTokens: 12 });
});

it("denies what wants a permission, unless somebody is there", async () => {
  const { session } = await started({ turns: [asking] });
  expect((await session.run("?")).toolCalls).toMatchObject([{ status: "error" }]);
  const allowed = await session.run("?", { onApproval: () => allow() });
  expect(allowed.toolCalls).toMatchObject([{ status: "success" }]);
});

it("runs the tools that are allowed unasked, in a session, a turn and a call", async () => {
  const call = (name: string) => ({ name, needsApproval: true });
  const turn = { text: "done", toolCalls: [call("Write"), call("Bash")] };
  const { mock, client, session } = await started(
    { turns: [turn] },
    { agentId: "a", allow: ["Write"] },
  );
  const statuses = async (result: PromiseLike<TurnResult>) =>
    (await result).toolCalls.map(({ status }) => status);
  expect(await statuses(session.run("?"))).toEqual(["success", "error"]);
  expect(await statuses(session.send("?", { allow: ["Bash"] }))).toEqual(["error", "success"]);
  expect(await statuses(session.run("?", { allow: [] }))).toEqual(["error", "error"]);
  const { runtime } = session;
  const asked: string[] = [];
  const onApproval: ApprovalHandler = ({ toolName }) => {
    asked.push(toolName);
    return deny("no");
  };
  const payload = say("?");
  const options = { onApproval, allow: ["Bash"] };
  expect(await statuses(client.runTurn({ runtime, payload }, options))).toEqual([
    "error",
    "success",
  ]);
  expect(asked).toEqual(["Write"]);
  const { items } = await map(client, ["?"], { agents: ["a"], allow: ["Write", "Bash"] });
  expect(items[0]?.result?.toolCalls).toMatchObject([{ status: "success" }, { status: "success" }]);
  const inputs = mock.receivedOf("input").length;
  for (const allow of ["Bash", [5], { name: "Bash" }] as never[]) {
    for (const call of [
      () => session.run("?", { allow }),
      () => client.session({ agentId: "a", allow }),
      () => client.runTurn({ runtime, payload }, { allow }),
    ]) {
      const message = expect.stringContaining("allow: expected a list of names of tools, got");
      expect(await rejection(call())).toMatchObject({ code: "invalid_option", message });
    }
  }
  mock.assertReceived("input", { times: inputs });
});

it("gives the stored messages behind one of them, and no more when it is told to stop", async () => {
  const { session } = await started({ turns: [{ text: "one" }] });
  for (const prompt of ["a", "b", "c"]) await session.run(prompt);
  const stored = await collected(session.messages());
  const [first, ...rest] = stored;
  expect(rest.length).toBeGreaterThan(2);
  const before = String(first?.id);
  expect(await collected(session.messages({ before, pageSize: 2 }))).toEqual(rest);
  const signal = AbortSignal.abort("enough");
  const stopped = await rejection(collected(session.messages({ signal })));
  expect(stopped).toMatchObject({ name: "AbortError", cause: "enough" });
  const slip = await rejection(collected(session.messages({ page: 2 } as never)));
  expect(slip).toMatchObject({ code: "invalid_option" });
});

it.each([5, null, undefined, { a: 1 }] as never[])(
  "says nothing that is no prompt: %s",
  async (prompt) => {
    const { mock, session } = await started({ turns: [{ text: "one" }] });
    const message = expect.stringContaining("prompt: expected text or a list of parts, got ");
    const calls: (() => unknown)[] = [
      () => session.run(prompt),
      () => session.run(prompt, { outputSchema: { type: "object" } }),
      () => session.send(prompt),
      () => session.stream(prompt),
    ];
    for (const call of calls) {
      const failed = await rejection(Promise.resolve().then(call));
      expect(failed).toMatchObject({ code: "invalid_command", message });
    }
    mock.assertReceived("input", { times: 0 });
    mock.assertReceived("runtime_external_tools_update", { times: 0 });
  },
);

it("counts a tool of its own that fails, and no slip of the model's", async () => {
  const schema = z.object({ n: z.number() });
  const failing = tool({
    name: "failing",
    description: "Fails",
    parameters: schema,
    execute: () => Promise.reject(new Error("no luck")),
  });
  const toolCalls = [{ name: "failing", input: { n: "7" } }];
  const turns = [{ toolCalls }, { toolCalls: [{ name: "failing", input: { n: 7 } }] }];
  const { client, session } = await started({ turns }, { agentId: "a", tools: [failing] });
  await session.run("?");
  expect(client.stats.handlerErrors).toBe(0);
  expect((await session.run("?")).toolCalls).toMatchObject([{ output: "no luck" }]);
  expect(client.stats.handlerErrors).toBe(1);
});

it("keeps what was decided", async () => {
  const rules = policy.firstMatch(policy.allow("Write"));
  const { session } = await started({ turns: [asking] }, { agentId: "a", onApproval: rules });
  expect(session.approvals).toEqual([]);
  await session.run("?");
  await session.run("?", {
    onApproval: () => {
      throw new Error("no idea");
    },
  });
  await session.run("?", { approvals: "deny" });
  expect(session.approvals).toMatchObject([
    { toolName: "Write", decision: { behavior: "allow" }, error: null },
    { toolName: "Write", decision: null, error: expect.stringContaining("no idea") },
  ]);
});

it("takes the session's own handler", async () => {
  const options = { agentId: "a", onApproval: () => allow() };
  const { session } = await started({ turns: [asking] }, options);
  expect((await session.run("?")).toolCalls).toMatchObject([{ status: "success" }]);
  await expect(session.run("?", { approvals: "pause" })).rejects.toThrow(ApprovalRequired);
});

it("rejects for a turn that the agent did not end, unless it is not to", async () => {
  const { session } = await started({ turns: [{ text: "half", error: "no credits" }] });
  const failure: unknown = await session.run("?").catch((error) => error);
  expect(failure).toBeInstanceOf(TurnFailed);
  expect(failure).toMatchObject({ result: { text: "half" } });
  expect((failure as Error).message).toContain("no credits");
  expect(await session.run("?", { check: false })).toMatchObject({ status: "failed" });
  expect(await session.send("?")).toMatchObject({ status: "failed" });
});

it("stops what runs, and leaves nothing running when it is closed", async () => {
  const { session } = await started({ turns: [{ text: "half", hang: true }] });
  const turn = session.send("?");
  for await (const text of turn.textStream()) {
    expect(text).toBe("half");
    expect(await session.abort()).toBe(true);
  }
  expect(await turn).toMatchObject({ status: "aborted" });
  expect(await session.abort()).toBe(false);
  const other = session.send("?");
  await session.close();
  expect(await other).toMatchObject({ status: "aborted" });
});

it("tells of a directory that is not there", async () => {
  const script = { directories: ["/here", "/there"] };
  const { client, session } = await started(script, { agentId: "a", cwd: "/here" });
  expect(session).toMatchObject({ cwd: "/here", cwdIgnored: false });
  session.setMode("acceptEdits");
  await session.setCwd("/there");
  expect(session).toMatchObject({ cwd: "/there", cwdIgnored: false });
  await session.setCwd("/here");
  await expect(session.setCwd("/nowhere")).rejects.toThrow(RequestError);
  expect(session).toMatchObject({ cwd: "/here", cwdIgnored: true });
  const lost = await client.session({ agentId: "a", cwd: "/nowhere" });
  expect(lost).toMatchObject({ cwd: "/home/user/project", cwdIgnored: true });
});

it("looks for a directory no longer than its caller wants to know", async () => {
  const { client, session } = await started({});
  let stop = new AbortController();
  // Cancelled as soon as the directory is asked for.
  const asks = ["change_device_state", "sync"];
  client.onSend(({ type }) => asks.includes(type) && stop.abort("enough"));
  const cancelled = async (call: (signal: AbortSignal) => Promise<unknown>) => {
    stop = new AbortController();
    const failed = await rejection(call(stop.signal));
    expect(failed).toMatchObject({ name: "AbortError", cause: "enough" });
  };
  await cancelled((signal) => session.setCwd("/here", { signal }));
  await cancelled((signal) => client.session({ agentId: "a", cwd: "/here", signal }));
  await cancelled((signal) => map(client, ["?"], { agents: ["a"], cwd: "/here", signal }));
});

it("changes no directory for a signal that is aborted already", async () => {
  const { mock, client, session } = await started({});
  const failed = rejection(session.setCwd("/here", { signal: AbortSignal.abort("no") }));
  expect(await failed).toMatchObject({ name: "AbortError", cause: "no" });
  await client.sync({ runtime: session.runtime });
  mock.assertReceived("change_device_state", { times: 0 });
});

it("says whose default conversation it forks", async () => {
  const answers = { conversation_fork: { conversation: { id: "conv-2" } } };
  const { mock, client } = await started({ answers });
  for (const conversationId of ["default", "conv-1"]) {
    const session = await client.session({ agentId: "a", conversationId });
    await session.fork();
  }
  const bodies = mock.receivedOf("conversation_fork").map(({ body }) => body);
  expect(bodies).toEqual([{ agent_id: "a" }, undefined]);
});

it("forks into the directory that the session has not asked for", async () => {
  const answers = { conversation_fork: { conversation: { id: "conv-2" } } };
  const options = { agentId: "a", conversationId: "conv-1" };
  const { mock, client } = await started({ answers }, { ...options, cwd: "/there" });
  const joined = await client.session(options);
  expect(await joined.fork()).toMatchObject({ cwd: "/there", cwdIgnored: false });
  expect(joined.cwd).toBeUndefined();
  expect(mock.receivedOf("runtime_start").at(-1)).toMatchObject({ cwd: "/there" });
});

it("takes nothing for the turns of a fork from its call", async () => {
  const answers = { conversation_fork: { conversation: { id: "conv-2" } } };
  const { mock, session } = await started({ answers });
  for (const options of [{ timeoutMs: 150 }, { check: false }, { agentId: "b" }]) {
    const name = Object.keys(options)[0];
    const refused = { code: "invalid_option", message: expect.stringContaining(`${name}: `) };
    expect(await rejection(session.fork(options as never))).toMatchObject(refused);
  }
  mock.assertReceived("conversation_fork", { times: 0 });
  const stop = new AbortController();
  const fork = await session.fork({ signal: stop.signal });
  stop.abort();
  expect(await fork.run("?")).toMatchObject({ status: "completed" });
});

it("changes and forks a conversation", async () => {
  const answers = {
    conversation_fork: { conversation: { id: "conv-2" } },
    update_model: { runtime: {}, applied_to: "agent", model_id: "m", model_handle: "x/m" },
  };
  const options: SessionOptions = { agentId: "a", conversationId: "conv-1", mode: "acceptEdits" };
  const { mock, session } = await started({ answers }, options);
  await session.updateModel("x/m");
  session.setMode("standard");
  const fork = await session.fork();
  expect(fork).toMatchObject({ agentId: "a", conversationId: "conv-2", mode: "standard" });
  const modes = mock.receivedOf("runtime_start");
  expect(modes).toMatchObject([{ mode: "acceptEdits" }, { mode: "standard" }]);
});

describe("tools of a session", () => {
  const weather = tool({
    name: "weather",
    description: "Forecast the weather",
    parameters: { type: "object", properties: { city: { type: "string" } } },
    execute: ({ city }) => `sunny in ${city}`,
  });

  it("run in their conversation and need no permission", async () => {
    const toolCalls = [
      { name: "weather", input: { city: "Bern" }, needsApproval: true },
      { name: "Write", needsApproval: true },
    ];
    const { mock, client, session } = await started(
      { turns: [{ toolCalls }], answers: { conversation_fork: { conversation: { id: "c2" } } } },
      { agentId: "a", tools: [weather] },
    );
    client.onExternalToolCall(() => ({ content: [{ type: "text", text: "for all" }] }));
    const { toolCalls: calls } = await session.run("?");
    expect(calls).toMatchObject([
      { name: "weather", status: "success", output: "sunny in Bern" },
      { name: "Write", status: "error" },
    ]);
    await session.fork();
    const [first, second] = mock.receivedOf("runtime_start");
    const { externalTools } = toolSet([weather]);
    expect(first).toMatchObject({ external_tools: externalTools });
    expect(second).toMatchObject({ external_tools: externalTools });
    const other = await client.session({ agentId: "b", externalTools, onApproval: () => allow() });
    expect((await other.run("?")).toolCalls[0]).toMatchObject({ output: "for all" });
  });

  it("leave other tools of the conversation to the handler for all", async () => {
    const other = { name: "other", description: "", parameters: { type: "object" } };
    const { client, session } = await started(
      { turns: [{ toolCalls: [{ name: "other" }, { name: "weather", input: { city: "Bern" } }] }] },
      { agentId: "a", mode: "unrestricted", tools: [weather], externalTools: [{ tools: [other] }] },
    );
    client.onExternalToolCall(() => ({ content: [{ type: "text", text: "for all" }] }));
    const { toolCalls } = await session.run("?");
    expect(toolCalls.map(({ output }) => output)).toEqual(["for all", "sunny in Bern"]);
  });

  it("stay those of a session when another one of the conversation is closed", async () => {
    const { client, session } = await started(
      { turns: [{ toolCalls: [{ name: "weather", input: { city: "Bern" } }] }] },
      { agentId: "a", conversationId: "c", tools: [weather] },
    );
    const second = await client.session({ agentId: "a", conversationId: "c", tools: [weather] });
    await second.close();
    expect((await session.run("?")).toolCalls).toMatchObject([{ output: "sunny in Bern" }]);
    await session.close();
    expect((await session.run("?")).toolCalls).toMatchObject([{ status: "error" }]);
  });

  it("are answered for where there is no handler", async () => {
    const { client, session } = await started(
      { turns: [{ toolCalls: [{ name: "weather", input: { city: "Bern" } }] }] },
      { agentId: "a", tools: [weather] },
    );
    const { externalTools } = toolSet([weather]);
    const other = await client.session({ agentId: "b", externalTools });
    expect((await other.run("?")).toolCalls).toMatchObject([{ status: "error" }]);
    expect((await session.run("?")).toolCalls).toMatchObject([{ status: "success" }]);
  });
});

it("asks the client's handlers by default, and denies where there are none", async () => {
  const mine = tool({ name: "mine", description: "", parameters: {}, execute: () => "ran" });
  const turn = {
    text: "done",
    toolCalls: [{ name: "mine" }, { name: "Bash", needsApproval: true }],
  };
  const { client, session } = await started({ turns: [turn] }, { agentId: "a", tools: [mine] });
  const statuses = async (options = {}) =>
    (await session.run("?", options)).toolCalls.map(({ status }) => status);
  const asked: string[] = [];
  expect(await statuses()).toEqual(["success", "error"]);
  const remove = client.onApprovalRequest(({ toolName }) => {
    asked.push(toolName);
    return allow();
  });
  expect(await statuses()).toEqual(["success", "success"]);
  expect(asked).toEqual(["Bash"]);
  // What was chosen counts for its own tools, too.
  expect(await statuses({ approvals: "ask_or_deny" })).toEqual(["success", "success"]);
  expect(asked).toEqual(["Bash", "mine", "Bash"]);
  expect(await statuses({ approvals: "deny" })).toEqual(["error", "error"]);
  remove();
  expect(await statuses()).toEqual(["success", "error"]);
  expect(asked).toHaveLength(3);
});

it("what is given as undefined says nothing", async () => {
  const { client, session } = await started({ turns: [asking] });
  const { toolCalls } = await session.run("?", { approvals: undefined, onApproval: undefined });
  expect(toolCalls).toMatchObject([{ status: "error" }]);
  const settled = await client.session({ agentId: "a", onApproval: () => allow() });
  const allowed = await settled.run("?", { approvals: undefined, onApproval: undefined });
  expect(allowed.toolCalls).toMatchObject([{ status: "success" }]);
  const failing = await started({ turns: [{ text: "", error: "no credits" }] });
  await expect(failing.session.run("?", { check: undefined })).rejects.toThrow(TurnFailed);
});

it("closing stops what was asked, and failed turns have been paid for, too", async () => {
  const { mock, session } = await started({ turns: [{ text: "half", hang: true }] });
  const running = session.run("?");
  await session.close();
  expect(await running).toMatchObject({ status: "aborted" });
  mock.assertReceived("abort_message", { times: 1 });
  const failing = await started({ turns: [{ text: "", error: "no credits" }] });
  const error = await failing.session.run("?").catch((thrown: TurnFailed) => thrown);
  const { usage } = (error as TurnFailed).result ?? {};
  expect(usage?.totalTokens).toBeGreaterThan(0);
  expect(failing.session.usage).toEqual(usage);
});

it("gives the stored messages of a default conversation, which has no id of its own", async () => {
  const { client } = await started({ turns: [{ text: "one" }, { text: "two" }] });
  const texts: string[] = [];
  for (const agentId of ["a", "b"]) {
    const session = await client.session({ agentId, conversationId: "default" });
    await session.run("?");
    const stored = await collected(session.messages());
    expect(stored).toHaveLength(2);
    texts.push(JSON.stringify(stored[0]));
  }
  expect(texts[0]).toContain("one");
  expect(texts[1]).toContain("two");
});

it.each(["stream", "textStream"] as const)(
  "stops what %s reads at the end of a block",
  async (how) => {
    const { mock, session } = await started({ turns: [{ text: ["4", "2"], hang: true }] });
    const items = session[how]("?");
    await items.next();
    await items[Symbol.asyncDispose]();
    mock.assertReceived("abort_message", { times: 1 });
    expect(await items.next()).toEqual({ done: true, value: undefined });
    // What has ended is left alone.
    await items[Symbol.asyncDispose]();
  },
);
