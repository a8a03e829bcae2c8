import { runInNewContext } from "node:vm";
import {
  type ApprovalHandler,
  type ApprovalRequest,
  type AuditEntry,
  allow,
  audit,
  type Decision,
  deny,
  InvalidOption,
  type Otherwise,
  type PolicyRule,
  policy,
} from "@letta/app-client-native";
import { describe, expect, expectTypeOf, it } from "vitest";
import { ApprovalRequest as Request } from "../dist/cjs/approvals.js";
import { nextWarning, prepared, rejection, say, thrown } from "./helpers.js";

/** A question about a tool. */
function question(tool_name: string, input: Record<string, unknown> = {}): ApprovalRequest {
  return new Request({
    type: "control_request",
    request_id: "perm-call_1",
    agent_id: "a",
    conversation_id: "c",
    request: {
      subtype: "can_use_tool",
      tool_name,
      input,
      tool_call_id: "call_1",
      permission_suggestions: [],
      blocked_path: null,
    },
  });
}

const options = () => ({ signal: new AbortController().signal });
const decide = async (rule: PolicyRule, request: ApprovalRequest) => rule(request, options());
const allowed: Decision = { behavior: "allow" };
const bash = (command: unknown) => question("Bash", { command });

describe("a rule that allows", () => {
  it("is about the named tools alone", async () => {
    const rule = policy.allow("Read", "Grep");
    expect(await decide(rule, question("Read"))).toEqual(allowed);
    expect(await decide(rule, question("Grep", { pattern: "x" }))).toEqual(allowed);
    expect(await decide(rule, question("Write"))).toBeUndefined();
    expect(await decide(rule, question("read"))).toBeUndefined();
    expect(await decide(rule, question("ReadAll"))).toBeUndefined();
  });

  it("is about arguments that match", async () => {
    const rule = policy.allow({ tools: ["Bash"], where: { command: /^(pytest|ruff)( \w+)*$/ } });
    expect(await decide(rule, bash("pytest tests"))).toEqual(allowed);
    expect(await decide(rule, bash("pytest; rm -rf /"))).toBeUndefined();
    expect(await decide(rule, question("Shell", { command: "pytest" }))).toBeUndefined();
    // Neither absent nor inherited, nor of another type.
    expect(await decide(rule, question("Bash"))).toBeUndefined();
    expect(await decide(rule, bash(["pytest"]))).toBeUndefined();
    const foreign = { command: runInNewContext("/^ruff$/") };
    const other = policy.allow({ tools: ["Bash"], where: foreign });
    expect(await decide(other, bash("ruff"))).toEqual(allowed);
    const inherited = policy.allow({ tools: ["Bash"], where: { constructor: /./ } });
    expect(await decide(inherited, question("Bash"))).toBeUndefined();
  });

  it("wants all patterns to match", async () => {
    const rule = policy.allow({ tools: ["Bash"], where: { command: /^ls$/, cwd: /^\/project$/ } });
    expect(await decide(rule, question("Bash", { command: "ls", cwd: "/project" }))).toEqual(
      allowed,
    );
    expect(await decide(rule, question("Bash", { command: "ls", cwd: "/" }))).toBeUndefined();
    expect(await decide(rule, bash("ls"))).toBeUndefined();
  });

  it.each(["g", "y", "gy"])("judges every call alike with the flags %s", async (flags) => {
    const command = new RegExp("pytest", flags);
    const rule = policy.allow({ tools: ["Bash"], where: { command } });
    expect(command.test("pytest")).toBe(true);
    for (let call = 0; call < 3; call += 1) {
      expect(await decide(rule, bash("pytest"))).toEqual(allowed);
    }
    // The pattern of the caller is left as it was.
    expect(command.lastIndex).toBe(6);
  });
});

describe("a rule that denies", () => {
  it("says that the policy does", async () => {
    const rule = policy.deny("Bash");
    expect(await decide(rule, bash("ls"))).toEqual({
      behavior: "deny",
      message: "a rule of the policy denies Bash",
    });
    expect(await decide(rule, question("Read"))).toBeUndefined();
  });

  it("says what it is told to", async () => {
    const rule = policy.deny({
      tools: ["Bash"],
      where: { command: /\brm\b/ },
      message: "nothing is deleted",
    });
    expect(await decide(rule, bash("cd /; rm -rf ."))).toEqual(deny("nothing is deleted"));
    expect(await decide(rule, bash("ls"))).toBeUndefined();
  });
});

describe("a rule about every tool", () => {
  it("allows it by saying so", async () => {
    const rule = policy.allowAll();
    expect(await decide(rule, bash("ls"))).toEqual(allowed);
    expect(await decide(rule, question("New"))).toEqual(allowed);
  });

  it("denies it without a name, also one of a list without any", async () => {
    const none: string[] = [];
    for (const rule of [policy.deny(), policy.deny(...none), policy.deny({ tools: none })]) {
      const message = "a rule of the policy denies New";
      expect(await decide(rule, question("New"))).toEqual(deny(message));
    }
    const rule = policy.deny({ where: { command: /\brm\b/ }, message: "nothing is deleted" });
    expect(await decide(rule, question("Shell", { command: "rm x" }))).toEqual(
      deny("nothing is deleted"),
    );
    expect(await decide(rule, bash("ls"))).toBeUndefined();
  });
});

describe("a rule that asks", () => {
  it("asks about the named tools alone", async () => {
    const asked: string[] = [];
    const handler: ApprovalHandler = ({ toolName }) => {
      asked.push(toolName);
      return allow();
    };
    const rule = policy.ask(handler, "Bash", "Write");
    expect(await decide(rule, bash("ls"))).toEqual(allowed);
    expect(await decide(rule, question("Read"))).toBeUndefined();
    const scoped = policy.ask(handler, { where: { command: /^ls$/ } });
    expect(await decide(scoped, question("Shell", { command: "ls" }))).toEqual(allowed);
    expect(await decide(scoped, bash("pwd"))).toBeUndefined();
    expect(asked).toEqual(["Bash", "Shell"]);
  });
});

describe("a scope is refused", () => {
  it.each<[string, unknown[], string]>([
    ["with an empty name", [""], "tools: expected names of tools"],
    ["with no name", [3], "tools: expected names of tools"],
    ["with a name and a scope", ["Read", { tools: ["Bash"] }], "tools: expected names"],
    ["with null", [null], "tools: expected names of tools"],
    ["with one name", [{ tools: "Bash" }], "tools: expected names of tools"],
    ["with a text as pattern", [{ tools: ["Bash"], where: { command: "ls" } }], "where.command:"],
    ["with a pattern of nothing", [{ tools: ["Bash"], where: /ls/ }], "where: expected patterns"],
    ["without patterns", [{ tools: ["Bash"], where: {} }], "where: expected patterns"],
    ["with null as patterns", [{ tools: ["Bash"], where: null }], "where: expected patterns"],
    [
      "with a slip",
      [{ tools: ["Bash"], were: { command: /x/ } }],
      "were: there is no such option (did you mean where?)",
    ],
  ])("%s", (_, scopes, words) => {
    for (const make of [policy.allow, policy.deny]) {
      expect(thrown(() => make(...(scopes as string[])))).toMatchObject({
        code: "invalid_option",
        message: expect.stringContaining(words),
      });
    }
  });

  it("with names of which there turn out to be none: that never allows all of them", () => {
    const none: string[] = [];
    for (const make of [
      () => policy.allow(...none),
      () => policy.allow({ tools: none }),
      () => policy.allow({ where: { command: /x/ } } as never),
    ]) {
      expect(thrown(make)).toBeInstanceOf(InvalidOption);
      expect(thrown(make)).toMatchObject({
        message: "tools: expected names of tools, got none (policy.allowAll() allows every tool)",
      });
    }
    expect(thrown(() => policy.ask(undefined as never))).toBeInstanceOf(InvalidOption);
  });

  it("with a message where none is said, or none that can be", () => {
    const scope = { tools: ["Bash"], message: 3 };
    expect(thrown(() => policy.deny(scope as never))).toMatchObject({
      message: "message: expected a string, got 3",
    });
    expect(thrown(() => policy.allow(scope as never))).toMatchObject({
      message: "message: there is no such option (the options are tools, where)",
    });
  });
});

describe("a policy", () => {
  it("takes the decision of the first rule that has one", async () => {
    const asked: string[] = [];
    const rules = policy.firstMatch(
      policy.deny({ tools: ["Bash"], where: { command: /\brm\b/ }, message: "no" }),
      policy.allow("Read", "Bash"),
      policy.deny("Read"),
      async ({ toolName }) => (toolName === "Own" ? allow({ message: "own" }) : undefined),
      policy.ask(async ({ toolName }) => {
        asked.push(toolName);
        return deny("not now");
      }),
      policy.allow("Write"),
    );
    expect(await decide(rules, bash("rm x"))).toEqual(deny("no"));
    expect(await decide(rules, bash("ls"))).toEqual(allowed);
    expect(await decide(rules, question("Read"))).toEqual(allowed);
    expect(await decide(rules, question("Own"))).toEqual(allow({ message: "own" }));
    expect(asked).toEqual([]);
    expect(await decide(rules, question("Write"))).toEqual(deny("not now"));
    expect(asked).toEqual(["Write"]);
  });

  it("denies what no rule is about", async () => {
    const rules = policy.firstMatch(policy.allow("Read"));
    expect(await decide(rules, bash("ls"))).toEqual(deny("no rule of the policy allows Bash"));
  });

  it("denies everything without a rule", async () => {
    expect(await decide(policy.firstMatch(), bash("ls"))).toMatchObject({ behavior: "deny" });
  });

  it.each<[string, Otherwise, Decision]>([
    ["what allows every tool", policy.allowAll(), allowed],
    ["its maker", policy.allowAll, allowed],
    ["a rule", policy.allow("Bash"), allowed],
    [
      "a rule about something else",
      policy.allow("Read"),
      deny("no rule of the policy allows Bash"),
    ],
    ["a rule that denies", policy.deny({ message: "no" }), deny("no")],
    ["its maker", policy.deny, deny("no rule of the policy allows Bash")],
    ["a decision", deny("only these"), deny("only these")],
    ["a function", async () => deny("asked"), deny("asked")],
  ])("does otherwise: %s", async (_, otherwise, decision) => {
    const rules = policy.firstMatch(policy.deny("Write"), { otherwise });
    expect(await decide(rules, bash("ls"))).toEqual(decision);
    expect(await decide(rules, question("Write"))).toMatchObject({ behavior: "deny" });
    expect(await decide(policy.firstMatch({ otherwise }), bash("ls"))).toEqual(decision);
  });

  it.each<[string, PolicyRule, string]>([
    ["asks a handler that returns nothing", policy.ask(() => undefined as never), "expected allow"],
    ["asks a handler that returns a truth", policy.ask(() => true as never), "expected allow"],
    ["asks a handler that fails", policy.ask(() => Promise.reject(new Error("gone"))), "gone"],
    ["has a rule that returns null", () => null as never, "expected allow"],
    ["has a rule that fails", () => Promise.reject(new Error("gone")), "gone"],
  ])("allows nothing further when it %s", async (_, rule, words) => {
    const rules = policy.firstMatch(rule, policy.allow("Bash"));
    expect(await rejection(decide(rules, bash("ls")) as Promise<unknown>)).toMatchObject({
      message: expect.stringContaining(words),
    });
  });

  it("goes no further when the question is not wanted any more", async () => {
    const abort = new AbortController();
    let asked = 0;
    const rules = policy.firstMatch(
      () => {
        abort.abort(new Error("over"));
        return undefined;
      },
      policy.ask(() => {
        asked += 1;
        return allow();
      }),
    );
    const decision = rules(bash("ls"), { signal: abort.signal });
    expect(await rejection(Promise.resolve(decision))).toMatchObject({ message: "over" });
    expect(asked).toBe(0);
  });

  it("gives a handler the question and its signal", async () => {
    const given = options();
    const request = bash("ls");
    let got: unknown[] = [];
    const rules = policy.firstMatch(
      policy.ask((...all) => {
        got = all;
        return allow();
      }),
    );
    await rules(request, given);
    expect(got).toEqual([request, given]);
  });

  it.each<[string, () => unknown, string]>([
    ["no rule", () => policy.firstMatch(undefined as never), "rules: expected rules, got undef"],
    [
      "a maker that wants names",
      () => policy.firstMatch({ otherwise: policy.allow }),
      "otherwise: allow needs names of tools; policy.allowAll() allows every tool",
    ],
    [
      "what decides nothing",
      () => policy.firstMatch({ otherwise: 5 as never }),
      "otherwise: expected a rule, a decision or a function, got 5",
    ],
    [
      "a decision that is none",
      () => policy.firstMatch({ otherwise: { allow: true } as never }),
      "otherwise: expected allow(…) or deny(…)",
    ],
    [
      "a slip",
      () => policy.firstMatch({ otherwis: policy.deny } as never),
      "otherwis: there is no such option (did you mean otherwise?)",
    ],
    ["what is no rule", () => policy.firstMatch(allow() as never), "rules: expected rules"],
    ["no handler", () => policy.ask(undefined as never), "ask: expected a function"],
    ["nothing to record", () => audit(undefined as never), "audit: expected a function"],
  ])("is refused with %s", (_, make, words) => {
    expect(thrown(make)).toMatchObject({
      code: "invalid_option",
      message: expect.stringContaining(words),
    });
  });
});

/** A turn that wants two permissions, decided by a handler; the outcomes of the calls. */
async function decided(onApproval: ApprovalHandler) {
  const call = { name: "Bash", needsApproval: true, result: "a.py" };
  const toolCalls = ["ls", "rm x"].map((command) => ({ ...call, input: { command } }));
  const { client, runtime } = await prepared([{ text: "done", toolCalls }]);
  const result = await client.runTurn({ runtime, payload: say("?") }, { onApproval });
  expect(result.status).toBe("completed");
  return { result, runtime, outputs: result.toolCalls.map(({ output }) => output) };
}

it("decides on the permissions of a turn, and keeps a record", async () => {
  const rules = policy.firstMatch(
    policy.deny({ tools: ["Bash"], where: { command: /^rm\b/ }, message: "nothing is deleted" }),
    policy.allow("Bash"),
  );
  const onApproval = audit(rules);
  const before = new Date().toISOString();
  const { outputs, result, runtime } = await decided(onApproval);
  expect(outputs).toEqual(["a.py", "nothing is deleted"]);
  const ids = result.toolCalls.map(({ id }) => id);
  expect(onApproval.entries).toMatchObject([
    { toolCallId: ids[0], requestId: `perm-${ids[0]}`, input: { command: "ls" } },
    { toolCallId: ids[1], requestId: `perm-${ids[1]}`, input: { command: "rm x" } },
  ]);
  const decisions = onApproval.entries.map(({ decision }) => decision);
  expect(decisions).toEqual([allowed, deny("nothing is deleted")]);
  for (const { time, toolName, error, runtime: asking } of onApproval.entries) {
    expect(time >= before && time <= new Date().toISOString()).toBe(true);
    expect([toolName, error]).toEqual(["Bash", null]);
    expect(asking).toEqual(runtime);
  }
});

it("records no allowance that the engine denies", async () => {
  const onApproval = audit(() => ({ behavior: "allow", updated_input: 7 }) as never);
  const { outputs } = await decided(onApproval);
  const denied = expect.stringContaining("updated_input");
  expect(outputs).toEqual([denied, denied]);
  expect(onApproval.entries).toMatchObject([
    { decision: null, error: denied },
    { decision: null, error: denied },
  ]);
});

it("denies the permissions of a turn when its person fails, and records why", async () => {
  const warned = nextWarning("AppClientHandlerWarning");
  const onApproval = audit(
    policy.firstMatch(
      policy.ask(() => Promise.reject(new Error("gone home"))),
      policy.allow("Bash"),
    ),
  );
  const { outputs } = await decided(onApproval);
  expect(outputs).toEqual([
    expect.stringContaining("gone home"),
    expect.stringContaining("gone home"),
  ]);
  expect(onApproval.entries).toMatchObject([
    { decision: null, error: "gone home" },
    { decision: null, error: "gone home" },
  ]);
  expect((await warned).message).toContain("gone home");
});

describe("a record", () => {
  it("cannot be changed, and does not change", async () => {
    const handler = audit((request) => {
      request.input.command = "changed";
      return allow({ updatedInput: request.input });
    });
    const request = bash("ls");
    await handler(request, options());
    const { entries } = handler;
    await handler(bash("pwd"), options());
    request.input.command = "changed again";
    expect(entries).toMatchObject([
      {
        input: { command: "ls" },
        decision: { behavior: "allow", updated_input: { command: "changed" } },
      },
    ]);
    expect(handler.entries).toHaveLength(2);
    const [entry] = entries;
    if (entry?.decision?.behavior !== "allow") throw new Error("no entry that allows");
    const { input, runtime, decision } = entry;
    for (const part of [entries, entry, input, runtime, decision, decision.updated_input]) {
      expect(part).toBeTypeOf("object");
      expect(Object.isFrozen(part)).toBe(true);
    }
    expect(() => Object.assign(handler, { entries: [] })).toThrow(TypeError);
  });

  it.each<[string, unknown, string]>([
    ["a truth", true, "expected allow(…) or deny(…)"],
    ["no JSON", { behavior: "allow", updated_input: { big: 1n } }, "updated_input.big"],
  ])("has no decision for %s", async (_, value, words) => {
    const handler = audit(() => value as never);
    const failed = await rejection(Promise.resolve(handler(bash("ls"), options())));
    expect(failed).toBeInstanceOf(TypeError);
    expect(handler.entries).toMatchObject([
      { decision: null, error: expect.stringContaining(words) },
    ]);
  });

  it.each<[string, ApprovalHandler]>([
    ["a decision", () => allow()],
    ["a failure", (_, { signal }) => Promise.reject(signal.reason)],
  ])("tells of %s that came too late", async (_, late) => {
    const abort = new AbortController();
    const handler = audit((request, options) => {
      abort.abort(new Error("aborted", { cause: "the permission is no longer needed" }));
      return late(request, options);
    });
    await Promise.allSettled([handler(bash("ls"), { signal: abort.signal })]);
    expect(handler.entries).toMatchObject([
      { decision: null, error: "too late: the permission is no longer needed" },
    ]);
  });
});

describe("a record says who has decided", () => {
  async function by(handler: ApprovalHandler, request: ApprovalRequest): Promise<string[]> {
    const record = audit(handler);
    await Promise.allSettled([record(request, options())]);
    return record.entries.map((entry) => entry.by);
  }

  function onlyReads({ toolName }: ApprovalRequest) {
    return toolName === "Read" ? allow() : deny("no");
  }

  const rules = policy.firstMatch(
    policy.allow("Read", "Grep"),
    policy.allow({ tools: ["Bash"], where: { command: /^ls$/ } }),
    policy.deny({ tools: ["Bash"], message: "no" }),
    ({ toolName }) => (toolName === "Own" ? allow() : undefined),
    policy.ask(onlyReads, "Write"),
    policy.ask(() => Promise.reject(new Error("gone")), "Edit"),
  );

  it.each<[ApprovalRequest, string]>([
    [question("Read"), 'allow("Read", "Grep")'],
    [bash("ls"), 'allow("Bash", command=/^ls$/)'],
    [bash("rm"), 'deny("Bash")'],
    [question("Own"), "a function"],
    [question("Write"), 'ask(onlyReads, "Write")'],
    [question("Edit"), 'ask(a function, "Edit")'],
    [question("Glob"), "otherwise deny"],
  ])("of the rules of a policy (%#)", async (request, name) => {
    expect(await by(rules, request)).toEqual([name]);
    // Also where the policy stands within another, or has a record already.
    expect(await by(policy.firstMatch(policy.deny("X"), rules), request)).toEqual([name]);
    expect(await by(audit(rules), request)).toEqual([name]);
  });

  it("of functions, and of what decides otherwise", async () => {
    expect(await by(onlyReads, bash("ls"))).toEqual(["onlyReads"]);
    const wrapped: ApprovalHandler = async (request, given) => rules(request, given);
    expect(await by(wrapped, bash("ls"))).toEqual(["wrapped"]);
    expect(await by(policy.ask(rules), bash("ls"))).toEqual([
      expect.stringMatching(/^ask\(firstMatch\(allow\("Read", "Grep"\), /),
    ]);
    for (const [otherwise, name] of [
      [policy.allowAll, "otherwise allow"],
      [policy.allowAll(), "allowAll"],
      [deny("no"), "otherwise deny"],
      [policy.deny(), "deny"],
      [onlyReads, "ask(onlyReads)"],
    ] as [Otherwise, string][]) {
      expect(await by(policy.firstMatch({ otherwise }), bash("ls"))).toEqual([name]);
    }
  });

  it("as it is told to", async () => {
    const handler = audit(rules, { by: "the night shift" });
    await handler(bash("ls"), options());
    expect(handler.entries).toMatchObject([{ by: "the night shift" }]);
    expect(await by(handler, bash("ls"))).toEqual(["the night shift"]);
    expect(thrown(() => audit(rules, { by: 5 as never }))).toBeInstanceOf(InvalidOption);
    expect(thrown(() => audit(rules, { who: "me" } as never))).toBeInstanceOf(InvalidOption);
  });
});

it("says in the record of a session which rule has decided", async () => {
  const call = { name: "Bash", needsApproval: true, result: "a.py", input: { command: "ls" } };
  const { client } = await prepared([{ text: "done", toolCalls: [call] }]);
  const onApproval = policy.firstMatch(policy.allow("Bash"));
  const session = await client.session({ agentId: "a", onApproval });
  await session.run("?");
  expect(session.approvals).toMatchObject([{ toolName: "Bash", by: 'allow("Bash")' }]);
});

it("has the right types", () => {
  expectTypeOf(policy.firstMatch(policy.allow("Read"))).toEqualTypeOf<ApprovalHandler>();
  expectTypeOf(policy.allow("Read", "Grep")).toEqualTypeOf<PolicyRule>();
  expectTypeOf(policy.deny({ tools: ["Bash"], message: "no" })).toEqualTypeOf<PolicyRule>();
  expectTypeOf(policy.ask(() => allow())).toExtend<PolicyRule>();
  expectTypeOf(policy.ask(() => allow())).toEqualTypeOf<ApprovalHandler>();
  expectTypeOf(policy.ask(() => allow(), "Bash")).toEqualTypeOf<PolicyRule>();
  expectTypeOf(policy.allowAll()).toEqualTypeOf<ApprovalHandler>();
  const handler = audit(() => allow());
  expectTypeOf(handler).toExtend<ApprovalHandler>();
  expectTypeOf(handler.entries).toEqualTypeOf<readonly AuditEntry[]>();
  expectTypeOf<AuditEntry["decision"]>().toEqualTypeOf<Readonly<Decision> | null>();
  // @ts-expect-error A rule alone may leave the question open, and is no handler.
  const open: ApprovalHandler = policy.allow("Read");
  expect(open).toBeTypeOf("function");
  // @ts-expect-error A pattern is a regular expression.
  expect(() => policy.allow({ tools: ["Bash"], where: { command: "ls" } })).toThrow("where");
});
