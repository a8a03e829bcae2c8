import {
  AbortError,
  type ApprovalHandler,
  type ApprovalRequest,
  ApprovalRequired,
  allow,
  createAppServerClient,
  deny,
  rawText,
  TurnError,
  type TurnEvent,
} from "@letta/app-client-native";
import type { MockServer, ScriptedTurn } from "@letta/app-client-native/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  firstText,
  GENERATIONS,
  nextWarning,
  prepared,
  rejection,
  say,
  startMock,
  startRuntime,
} from "./helpers.js";

const bash = { name: "Bash", input: { command: "ls" }, needsApproval: true, result: "a.py" };
const turns: ScriptedTurn[] = [{ text: "done", toolCalls: [bash] }];

/** The answers to permissions that the server got. */
function answers(mock: MockServer): object[] {
  const payloads = mock.receivedOf("input").map(({ payload }) => payload as { kind: string });
  return payloads.filter(({ kind }) => kind === "approval_response");
}

/** A turn with one permission and a handler; gives the answer and the outcome. */
async function decided(onApproval: ApprovalHandler, script: object = {}) {
  const { mock, client, runtime } = await prepared({ turns, ...script });
  const result = await client.runTurn({ runtime, payload: say("?") }, { onApproval });
  const [answer] = answers(mock);
  return { client, runtime, result, answer, call: result.toolCalls[0] };
}

describe.each(GENERATIONS)("a turn's handler on a %s server", (_, script) => {
  it("allows", async () => {
    let asked: ApprovalRequest | undefined;
    const { runtime, result, answer, call } = await decided((request, { signal }) => {
      asked = request;
      expect(signal.aborted).toBe(false);
      return allow();
    }, script);
    expect(asked).toMatchObject({
      requestId: `perm-${call?.id}`,
      toolName: "Bash",
      input: { command: "ls" },
      toolCallId: call?.id,
      suggestions: [{ id: "save-default", text: expect.any(String) }],
      blockedPath: null,
      diffs: [],
      questions: [],
      runtime,
      raw: { type: "control_request" },
    });
    expect(JSON.parse(rawText(asked?.raw ?? {}) ?? "")).toEqual(asked?.raw);
    expect(answer).toMatchObject({ request_id: asked?.requestId, decision: { behavior: "allow" } });
    expect(result).toMatchObject({ status: "completed", text: "done" });
    expect(call).toMatchObject({ status: "success", output: "a.py" });
  });

  it("denies", async () => {
    const { result, answer, call } = await decided(async () => deny("not that"), script);
    expect(answer).toMatchObject({ decision: { behavior: "deny", message: "not that" } });
    expect(result).toMatchObject({ status: "completed", text: "done" });
    expect(call).toMatchObject({ status: "error", output: "not that" });
  });
});

it("allows with other arguments and a rule", async () => {
  const { answer } = await decided(({ input, suggestions }) =>
    allow({ updatedInput: { ...input, timeout: 60 }, suggestions, message: "fine" }),
  );
  expect(answer).toMatchObject({
    decision: {
      behavior: "allow",
      message: "fine",
      updated_input: { command: "ls", timeout: 60 },
      selected_permission_suggestion_ids: ["save-default"],
    },
  });
});

it("makes decisions as they go over the wire", () => {
  expect(allow()).toEqual({ behavior: "allow" });
  expect(allow({ suggestions: ["a"] })).toEqual({
    behavior: "allow",
    selected_permission_suggestion_ids: ["a"],
  });
  expect(deny("no")).toEqual({ behavior: "deny", message: "no" });
});

it("asks for several calls one after the other", async () => {
  const calls = ["one", "two"].map((command) => ({ ...bash, input: { command } }));
  const { mock, client, runtime } = await prepared([{ text: "done", toolCalls: calls }]);
  let atWork = 0;
  const asked: unknown[] = [];
  const onApproval: ApprovalHandler = async ({ input }) => {
    atWork += 1;
    expect(atWork).toBe(1);
    asked.push(input.command);
    await client.sync({ runtime });
    atWork -= 1;
    return input.command === "one" ? allow() : deny("no");
  };
  const result = await client.runTurn({ runtime, payload: say("?") }, { onApproval });
  expect(asked).toEqual(["one", "two"]);
  expect(result.toolCalls.map(({ output }) => output)).toEqual(["a.py", "no"]);
  expect(answers(mock)).toHaveLength(2);
});

describe("denies with a reason when a handler", () => {
  const noJson = { behavior: "allow", updated_input: { big: 1n } };
  it.each<[string, ApprovalHandler, string]>([
    ["rejects", () => Promise.reject(new Error("no luck")), "failed: no luck"],
    [
      "throws",
      () => {
        throw "thrown text";
      },
      "failed: thrown text",
    ],
    ["returns nothing", () => undefined as never, "expected allow(…) or deny(…)"],
    ["returns a truth", () => true as never, "expected allow(…) or deny(…)"],
    ["returns another word", () => ({ behavior: "maybe" }) as never, "expected allow(…)"],
    ["returns what is no JSON", () => noJson as never, "updated_input.big: expected a JSON value"],
    ["allows what is no JSON", () => allow({ updatedInput: { big: 1n } }), "updatedInput.big: "],
  ])("%s", async (_, handler, words) => {
    const warned = nextWarning("AppClientHandlerWarning");
    const { client, result, answer, call } = await decided(handler);
    expect(answer).toMatchObject({ error: expect.stringContaining(words) });
    expect(call).toMatchObject({ status: "error", output: expect.stringContaining(words) });
    expect(result.status).toBe("completed");
    expect((await warned).message).toContain("a handler of onApproval failed");
    expect(client.stats.handlerErrors).toBe(1);
  });

  it.each<[string, ApprovalHandler, string]>([
    ["arguments", () => ({ ...allow(), updated_input: "text" as never }), "updated_input"],
    ["no reason", () => ({ behavior: "deny" }) as never, "message"],
    ["another name", () => ({ ...allow(), updatedInput: {} }), "did you mean `updated_input`?"],
    ["a name of nothing", () => ({ ...allow(), input: {} }), "field `input`"],
  ])("returns an invalid decision: %s", async (_, handler, field) => {
    const warned = nextWarning("AppClientApprovalWarning");
    const { answer, call } = await decided(handler);
    expect(answer).toMatchObject({ error: expect.stringContaining(field) });
    expect(call).toMatchObject({ status: "error" });
    expect((await warned).message).toContain(field);
  });
});

it("cancels a handler whose turn is aborted", async () => {
  const { mock, client, runtime } = await prepared(turns);
  let reason: unknown;
  const asked = new Promise<{ over: Promise<void> }>((resolve) => {
    client.onApprovalRequest(
      (_, { signal }) =>
        new Promise((_, reject) => {
          const over = new Promise<void>((done) => {
            signal.addEventListener("abort", () => {
              reason = signal.reason;
              reject(signal.reason);
              done();
            });
          });
          resolve({ over });
        }),
    );
  });
  const turn = client.sendTurn({ runtime, payload: say("?") });
  const { over } = await asked;
  expect(await turn.abort()).toMatchObject({ status: "aborted" });
  await over;
  expect(reason).toBeInstanceOf(AbortError);
  expect(reason).toMatchObject({ cause: "the permission is no longer needed" });
  expect(answers(mock)).toEqual([]);
  expect(client.stats.handlerErrors).toBe(0);
});

it("cancels a turn's handler when the connection ends", async () => {
  const { mock, client, runtime } = await prepared(turns);
  let ask = () => {};
  const asked = new Promise<void>((resolve) => {
    ask = resolve;
  });
  const over = new Promise<unknown>((resolve) => {
    const onApproval: ApprovalHandler = (_, { signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reject(signal.reason);
          resolve(signal.reason);
        });
        ask();
      });
    client.runTurn({ runtime, payload: say("?") }, { onApproval }).catch(() => {});
  });
  await asked;
  mock.cutConnections();
  expect(await over).toBeInstanceOf(AbortError);
});

it("cancels a handler when an input was first, and tells the turn", async () => {
  const { mock, client, runtime } = await prepared(turns);
  const events: TurnEvent[] = [];
  let cancelled = false;
  const onApproval: ApprovalHandler = ({ requestId }, { signal }) =>
    new Promise((resolve) => {
      signal.addEventListener("abort", () => {
        cancelled = true;
        resolve(deny("too late"));
      });
      const decision = { behavior: "allow" as const };
      const payload = { kind: "approval_response" as const, request_id: requestId, decision };
      client.input({ runtime, payload });
    });
  const turn = client.sendTurn({ runtime, payload: say("?") }, { onApproval });
  for await (const event of turn) events.push(event);
  expect(await turn).toMatchObject({ status: "completed", toolCalls: [{ status: "success" }] });
  expect(cancelled).toBe(true);
  expect(answers(mock)).toHaveLength(1);
  const requestId = `perm-${(await turn).toolCalls[0]?.id}`;
  const asked = events.find((event) => event.type === "approval_requested");
  expect(asked?.request).toMatchObject({ requestId, toolName: "Bash", runtime });
  expect(events).toContainEqual({ type: "approval_decided", requestId, decision: "allow" });
});

it("reports an answer that the server did not take", async () => {
  const { mock, client, runtime } = await prepared([{ hang: true }]);
  const warned = nextWarning("AppClientApprovalWarning");
  const onApproval = () => allow();
  const begun = firstText(client);
  const turn = client.sendTurn({ runtime, payload: say("?") }, { onApproval });
  await begun;
  // The server knows nothing of this question, as if somebody else had just answered it.
  const request = { subtype: "can_use_tool", tool_name: "Bash", input: {}, tool_call_id: "call-x" };
  mock.push({ type: "control_request", request_id: "perm-call-x", request, runtime });
  let refused: TurnEvent | undefined;
  for await (const event of turn) {
    if (event.type !== "approval_refused") continue;
    refused = event;
    break;
  }
  const reason = "Approval request is no longer pending";
  expect(refused).toEqual({ type: "approval_refused", requestId: "perm-call-x", reason });
  expect((await warned).message).toContain(reason);
  expect(client.stats.handlerErrors).toBe(0);
});

describe("the mode", () => {
  it("deny goes on without the tool, whoever could be asked", async () => {
    const { mock, client, runtime } = await prepared(turns);
    client.onApprovalRequest(() => allow());
    const result = await client.runTurn({ runtime, payload: say("?") }, { approvals: "deny" });
    expect(result).toMatchObject({ status: "completed", toolCalls: [{ status: "error" }] });
    expect(answers(mock)).toMatchObject([{ decision: { behavior: "deny" } }]);
  });

  it("raise rejects, and the turn can still be answered", async () => {
    const { client, runtime } = await prepared(turns);
    const turn = client.sendTurn({ runtime, payload: say("?") }, { approvals: "raise" });
    const error = await rejection(turn);
    expect(error).toBeInstanceOf(ApprovalRequired);
    expect(error).toBeInstanceOf(TurnError);
    const { request, result, code } = error as ApprovalRequired;
    expect(code).toBe("approval_required");
    expect(result).toMatchObject({ status: "requires_approval", completedBy: expect.any(String) });
    expect(request).toMatchObject({ toolName: "Bash", input: { command: "ls" }, runtime });
    expect(turn.status).toBe("requires_approval");
    const finished = new Promise((resolve) => {
      client.onMessage((message) => {
        if (message.type === "turn_finished") resolve(message.stop_reason);
      });
    });
    (error as ApprovalRequired).respond(allow());
    expect(await finished).toBe("end_turn");
  });

  it("raise asks the client's handlers first", async () => {
    const { client, runtime } = await prepared(turns);
    client.onApprovalRequest(() => allow());
    const result = await client.runTurn({ runtime, payload: say("?") }, { approvals: "raise" });
    expect(result.toolCalls).toMatchObject([{ status: "success" }]);
  });
});

describe("handlers of the client", () => {
  it("answer for turns that would pause, until they are gone", async () => {
    const { client, runtime } = await prepared(turns);
    const off = client.onApprovalRequest(() => allow());
    const result = await client.runTurn({ runtime, payload: say("?") });
    expect(result).toMatchObject({ status: "completed", toolCalls: [{ status: "success" }] });
    off();
    off();
    const paused = await client.runTurn({ runtime, payload: say("?") });
    expect(paused.status).toBe("requires_approval");
    // A question that is open goes to the next who can answer it.
    const asked = new Promise<string>((resolve) => {
      client.onApprovalRequest(({ toolName }) => {
        resolve(toolName);
        return allow();
      });
    });
    expect(await asked).toBe("Bash");
  });

  it.each(["the handler", "others"])("pass their question on when %s removes them", async (by) => {
    const { mock, client, runtime } = await prepared(turns);
    client.onApprovalRequest(() => allow());
    let off = () => {};
    const reasons: unknown[] = [];
    const asked = new Promise<void>((resolve) => {
      off = client.onApprovalRequest((_, { signal }) => {
        resolve();
        if (by === "the handler") off();
        return new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            reasons.push(signal.reason);
            reject(signal.reason);
          });
        });
      });
    });
    const turn = client.sendTurn({ runtime, payload: say("?") });
    await asked;
    if (by === "others") off();
    expect((await turn).toolCalls).toMatchObject([{ status: "success" }]);
    expect(reasons).toEqual([expect.any(AbortError)]);
    expect(answers(mock)).toMatchObject([{ decision: { behavior: "allow" } }]);
    expect(client.stats.handlerErrors).toBe(0);
  });

  it("say nothing that counts once they are removed", async () => {
    const { mock, client, runtime } = await prepared(turns);
    client.onApprovalRequest(() => allow());
    const off = client.onApprovalRequest(() => {
      off();
      return deny("it has gone");
    });
    const result = await client.runTurn({ runtime, payload: say("?") });
    expect(result.toolCalls).toMatchObject([{ status: "success" }]);
    expect(answers(mock)).toMatchObject([{ decision: { behavior: "allow" } }]);
  });

  it("leave a question to what the turn does without one when the only one is removed", async () => {
    const { client, runtime } = await prepared(turns);
    const off = client.onApprovalRequest(() => {
      off();
      return new Promise(() => {});
    });
    const result = await client.runTurn({ runtime, payload: say("?") });
    expect(result.status).toBe("requires_approval");
  });

  it("leave to others what they have not heard of when they are removed", async () => {
    const { client, runtime } = await prepared(turns);
    client.onMessage(({ type }) => {
      if (type === "control_request") off();
    });
    client.onApprovalRequest(() => allow());
    const off = client.onApprovalRequest(() => deny("it has gone"));
    const result = await client.runTurn({ runtime, payload: say("?") });
    expect(result.toolCalls).toMatchObject([{ status: "success" }]);
  });

  it("are asked for their own runtime first, then the latest", async () => {
    const { client, runtime } = await prepared(turns);
    const asked: string[] = [];
    const handler = (name: string) => () => {
      asked.push(name);
      return allow();
    };
    const run = () => client.runTurn({ runtime, payload: say("?") });
    const off = client.onApprovalRequest(handler("own"), { runtime });
    client.onApprovalRequest(handler("first"));
    client.onApprovalRequest(handler("latest"));
    const other = { ...runtime, conversation_id: "other" };
    client.onApprovalRequest(handler("foreign"), { runtime: other });
    await run();
    off();
    await run();
    await client.runTurn({ runtime, payload: say("?") }, { onApproval: handler("turn") });
    expect(asked).toEqual(["own", "latest", "turn"]);
  });

  it("answer for turns that nobody here started a call for", async () => {
    const { mock, client, runtime } = await prepared(turns);
    client.onApprovalRequest(() => allow());
    const finished = new Promise((resolve) => {
      client.onMessage((message) => {
        if (message.type === "turn_finished") resolve(message.stop_reason);
      });
    });
    client.input({ runtime, payload: say("?") });
    expect(await finished).toBe("end_turn");
    expect(answers(mock)).toHaveLength(1);
  });

  it("may come before the connection, and stay when it is opened again", async () => {
    const mock = await startMock(turns);
    const client = createAppServerClient({ url: mock.url, settlePauseMs: 0 });
    onTestFinished(() => client.close());
    client.onApprovalRequest(() => allow());
    for (const _ of ["first", "again"]) {
      await client.connect();
      const runtime = await startRuntime(client);
      const result = await client.runTurn({ runtime, payload: say("?") });
      expect(result.toolCalls).toMatchObject([{ status: "success" }]);
      const lost = new Promise((resolve) => client.onDisconnect(resolve));
      mock.cutConnections();
      await lost;
    }
  });

  it("are refused by name when they are none", async () => {
    const { client, runtime } = await prepared([]);
    expect(() => client.onApprovalRequest(undefined as never)).toThrow(/^onApprovalRequest: /);
    const half = { agent_id: runtime.agent_id } as never;
    expect(() => client.onApprovalRequest(() => allow(), { runtime: half })).toThrow(/^runtime: /);
  });
});

it("leaves open questions to others when a turn is detached", async () => {
  const { client, runtime } = await prepared(turns);
  let cancelled = false;
  let ask = () => {};
  const asked = new Promise<void>((resolve) => {
    ask = resolve;
  });
  const onApproval: ApprovalHandler = (_, { signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        cancelled = true;
        reject(signal.reason);
      });
      ask();
    });
  const turn = client.sendTurn({ runtime, payload: say("?") }, { onApproval });
  await asked;
  turn.detach();
  await new Promise<void>((resolve) => {
    client.onApprovalRequest(() => {
      resolve();
      return allow();
    });
  });
  expect(cancelled).toBe(true);
});

it("tells what the program has answered by an input of its own", async () => {
  const { client, runtime } = await prepared(turns);
  const turn = client.sendTurn({ runtime, payload: say("?") }, { approvals: "wait" });
  const decisions: unknown[] = [];
  for await (const event of turn) {
    if (event.type === "approval_requested") {
      const { requestId: request_id } = event.request;
      const payload = { kind: "approval_response" as const, request_id, decision: allow() };
      client.input({ runtime, payload });
    }
    if (event.type === "approval_decided") decisions.push(event.decision);
  }
  expect(decisions).toEqual(["allow"]);
});

it("answers the questions of an agent", async () => {
  const options = [
    { label: "A", description: "a" },
    { label: "B", description: "b" },
  ];
  const question = { question: "Which?", header: "Pick", options, multiSelect: false };
  const input = { questions: [question] };
  const toolCalls = [{ name: "AskUserQuestion", input, needsApproval: true }];
  let asked: unknown;
  const { answer } = await decided(
    (request) => {
      asked = request.questions;
      return request.answer({ "Which?": "A" });
    },
    { turns: [{ text: "done", toolCalls }] },
  );
  expect(asked).toEqual([question]);
  const updated_input = { ...input, answers: { "Which?": "A" } };
  expect(answer).toMatchObject({ decision: { behavior: "allow", updated_input } });
});
