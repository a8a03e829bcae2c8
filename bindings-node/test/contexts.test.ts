import { AsyncLocalStorage, createHook } from "node:async_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  allow,
  connect,
  type Session,
  tool,
  type WsProtocolMessage,
} from "@letta/app-client-native";
import { describe, expect, it, onTestFinished } from "vitest";
import { connected, say, startMock } from "./helpers.js";

const users = new AsyncLocalStorage<unknown>();
const bash = { name: "Bash", input: { command: "ls" }, needsApproval: true };
const whoami = { name: "whoami", input: {} };

/** A server, and a client that one user's request has opened. */
async function shared() {
  const mock = await startMock([{ text: "done", toolCalls: [bash, whoami] }]);
  const client = await users.run("opener", () => connected(mock));
  return { mock, client };
}

/** A tool that tells for whom it runs, and what it has told. */
function asking() {
  const told: unknown[] = [];
  const execute = () => {
    told.push(users.getStore());
    return "ok";
  };
  const parameters = { type: "object" };
  return { told, whoami: tool({ name: "whoami", description: "Tells who", parameters, execute }) };
}

describe("a function of the program runs where it belongs", () => {
  it("that decides for a turn: where the turn was sent", async () => {
    const { client } = await shared();
    const { runtime } = await client.runtimeStart({ agent_id: "agent-1", mode: "standard" });
    if (!runtime) throw new Error("no runtime");
    const seen: unknown[] = [];
    const onApproval = async () => {
      await Promise.resolve();
      seen.push(users.getStore());
      return allow();
    };
    const ask = () => client.runTurn({ runtime, payload: say("?") }, { onApproval });
    await users.run("alice", ask);
    await users.run("bob", ask);
    await users.run("carol", async () => {
      await client.sendTurn({ runtime, payload: say("?") }, { onApproval });
    });
    expect(seen).toEqual(["alice", "bob", "carol"]);
  });

  it("that is a session's: where its latest prompt was sent", async () => {
    const { client } = await shared();
    const seen: unknown[] = [];
    const { told, whoami } = asking();
    const onApproval = () => {
      seen.push(users.getStore());
      return allow();
    };
    const session: Session = await users.run("opener", () =>
      client.session({ agentId: "agent-1", tools: [whoami], onApproval }),
    );
    await users.run("alice", () => session.run("?"));
    await users.run("bob", async () => {
      for await (const _ of session.stream("?"));
    });
    // Once for each of the two tools.
    expect(seen).toEqual(["alice", "alice", "bob", "bob"]);
    expect(told).toEqual(["alice", "bob"]);
  });

  it("that is the client's: where it was registered", async () => {
    const { client } = await shared();
    const seen = new Map<string, Set<unknown>>();
    const see = (name: string) => {
      const stores = seen.get(name) ?? new Set();
      seen.set(name, stores.add(users.getStore()));
    };
    users.run("registrar", () => {
      client.onMessage(() => see("onMessage"));
      client.onMessage(() => see("filtered"), { types: ["turn_finished"] });
      client.onApprovalRequest(() => {
        see("onApprovalRequest");
        return allow();
      });
      client.onExternalToolCall(() => {
        see("onExternalToolCall");
        return "ok";
      });
      client.onSend(({ type }) => type === "input" && see("onSend"));
    });
    const { runtime } = await client.runtimeStart({
      agent_id: "agent-1",
      mode: "standard",
      external_tools: [{ tools: [asking().whoami.definition] }],
    });
    if (!runtime) throw new Error("no runtime");
    await users.run("alice", () => client.runTurn({ runtime, payload: say("?") }));
    const registrar = new Set(["registrar"]);
    // Those of the client itself, such as the answers to permissions, are nobody's.
    expect(seen.get("onSend")).toEqual(new Set(["alice", undefined]));
    seen.delete("onSend");
    expect(Object.fromEntries(seen)).toEqual({
      onMessage: registrar,
      filtered: registrar,
      onApprovalRequest: registrar,
      onExternalToolCall: registrar,
    });
  });

  it("that judges an answer: where it was asked", async () => {
    const { client } = await shared();
    const seen: unknown[] = [];
    const predicate = (message: WsProtocolMessage): message is WsProtocolMessage => {
      seen.push(users.getStore());
      return true;
    };
    await users.run("alice", () => client.request("app_server_info", {}, { predicate }));
    expect(seen).toEqual(["alice"]);
  });
});

it("does not keep what the request had that has opened the client", async () => {
  setFlagsFromString("--expose-gc");
  const gc: () => void = runInNewContext("gc");
  const mock = await startMock();
  let collected = false;
  const registry = new FinalizationRegistry<void>(() => {
    collected = true;
  });
  const open = async () => {
    const store = { user: "alice" };
    registry.register(store, undefined);
    return users.run(store, () => connect(mock.url));
  };
  const client = await open();
  onTestFinished(() => client.close());
  for (let round = 0; round < 100 && !collected; round += 1) {
    await client.info();
    gc();
  }
  expect(collected).toBe(true);
});

describe("what looks for leaks", () => {
  /** How many contexts of functions were made and not destroyed meanwhile, with nothing collected. */
  async function left(work: () => Promise<void>): Promise<number> {
    const open = new Set<number>();
    let made = 0;
    const hook = createHook({
      init(id, type) {
        if (type !== "AppClientHandler") return;
        made += 1;
        open.add(id);
      },
      destroy: (id) => void open.delete(id),
    }).enable();
    try {
      await work();
      // Hooks are told of the end in a turn of the loop of its own.
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      hook.disable();
    }
    expect(made).toBeGreaterThan(0);
    return open.size;
  }

  it("finds nothing of a client that was closed with all its handlers", async () => {
    const mock = await startMock([{ text: "done", toolCalls: [bash, whoami] }]);
    const remaining = await left(async () => {
      const client = await connect(mock.url);
      client.onMessage(() => {});
      client.onState(() => {});
      client.onSend(() => {});
      client.onDisconnect(() => {});
      client.onLagged(() => {});
      client.onApprovalRequest(() => allow());
      client.onExternalToolCall(() => "x");
      const session = await client.session({ agentId: "agent-1", tools: [asking().whoami] });
      await session.run("?", { onApproval: () => allow() });
      await client.close();
      // A session that was not closed is the client's no more.
      await session.close();
    });
    expect(remaining).toBe(0);
  });

  it("finds nothing of handlers that were removed, and of a session that was closed", async () => {
    const mock = await startMock([{ text: "done" }]);
    const client = await connected(mock);
    const remaining = await left(async () => {
      const offs = [
        client.onMessage(() => {}),
        client.onApprovalRequest(() => allow()),
        client.onExternalToolCall(() => "x"),
      ];
      for (const off of offs) off();
      const session = await client.session({ agentId: "agent-1" });
      await session.run("?");
      await session.close();
    });
    expect(remaining).toBe(0);
  });
});
