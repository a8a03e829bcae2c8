/** Options that there are not: a slip in a name must not be lost in silence. */

import { runInNewContext } from "node:vm";
import {
  type AppServerClient,
  type AppServerClientOptions,
  allow,
  connect,
  createAppServerClient,
  gather,
  InvalidOption,
  map,
  policy,
  replay,
  type Session,
  spawnAppServer,
  tool,
  toolSet,
} from "@letta/app-client-native";
import { MockServer, type ScriptOptions, script } from "@letta/app-client-native/testing";
import { expect, it } from "vitest";
import { connected, prepared, rejection, say, startMock } from "./helpers.js";

const url = "ws://127.0.0.1:4500";
const no = "there is no such option";

/** What is refused, and the words of the refusal. */
type Case = [name: string, call: () => unknown, words: string];

async function refused(call: () => unknown, words: string): Promise<void> {
  const failure = await rejection(Promise.resolve().then(call));
  expect(failure).toBeInstanceOf(InvalidOption);
  expect(failure).toMatchObject({ message: expect.stringContaining(words) });
}

const client = (options: object) => createAppServerClient(options as AppServerClientOptions);

it.each<Case>([
  ["a client", () => client({ url, bogus: 1 }), `bogus: ${no} (the options are url, authToken, `],
  ["a client's token", () => client({ url, token: "t" }), `token: ${no} (did you mean authToken?)`],
  [
    "tls",
    () => client({ url, tls: { rejectUnauthorised: false } }),
    "tls.rejectUnauthorised: there is no such option (did you mean rejectUnauthorized?)",
  ],
  [
    "reconnect",
    () => client({ url, reconnect: { attempts: 3 } }),
    `reconnect.attempts: ${no} (did you mean`,
  ],
  ["record", () => client({ url, record: { path: "p", size: 3 } }), `record.size: ${no} (the`],
  [
    "connect",
    () => connect({ url, token: "t" } as never),
    `token: ${no} (did you mean authToken?)`,
  ],
  [
    "the attempt to connect",
    () => connect(url, { sign: 1 } as never),
    `sign: ${no} (did you mean signal?)`,
  ],
  [
    "options next to the URL",
    () => connect(url, { authToken: "secret" } as never),
    `authToken: ${no} next to the URL (the options of a client are one object: connect({ url, authToken }))`,
  ],
  [
    "others of them",
    () => connect(url, { token: "secret" } as never),
    `token: ${no} next to the URL (the options of a client are one object: connect({ url, authToken }))`,
  ],
  ["a replay", () => replay("f", { sped: 1 } as never), `sped: ${no} (did you mean speed?)`],
  ["a replay's client", () => connect(replay("f"), { url } as never), `url: ${no}`],
  [
    "a server of your own",
    () => spawnAppServer({ comand: [] } as never),
    `comand: ${no} (did you mean com`,
  ],
  ["gather", () => gather([], { chek: true } as never), `chek: ${no}`],
  ["tools", () => tool({ nam: "x" } as never), `nam: ${no} (did you mean name?)`],
  [
    "a set of tools",
    () => toolSet([], { scope_id: "x" } as never),
    `scope_id: ${no} (did you mean scopeId`,
  ],
  [
    "a permission",
    () => allow({ updated_input: {} } as never),
    `updated_input: ${no} (did you mean updatedInput?)`,
  ],
  ["a rule", () => policy.allow({ tools: ["x"], were: {} } as never), "were: "],
  ["a scripted turn", () => script.turn({ bogus: 1 } as never), `turn.bogus: ${no}`],
  [
    "a scripted call",
    () => script.turn({ toolCalls: [{ name: "x", needs_approval: true }] } as never),
    `turn.toolCalls[0].needs_approval: ${no} (did you mean needsApproval?)`,
  ],
  ["the double", () => MockServer.start({ bogus: 1 } as ScriptOptions), `bogus: ${no}`],
  [
    "its turns",
    () => MockServer.start([{ txt: "x" } as never]),
    `turns[0].txt: ${no} (did you mean text?)`,
  ],
  [
    "its limits",
    () => MockServer.start({ slowReaderLimits: { pause: 1 } as never }),
    `slowReaderLimits.pause: ${no} (did you mean pauseBytes?)`,
  ],
  [
    "a played recording",
    () => MockServer.play("f", "single", { stepTimeout: 1 } as never),
    `stepTimeout: ${no} (did you mean stepTimeoutMs?)`,
  ],
])("%s", async (_, call, words) => {
  await refused(call, words);
});

it("never says what was given: it may be a token", async () => {
  for (const call of [
    () => client({ url, token: "secret" }),
    () => connect(url, { token: "secret" } as never),
  ]) {
    const failure = (await rejection(Promise.resolve().then(call))) as Error;
    expect(failure.message).not.toContain("secret");
  }
});

const slip = { timeout: 1 } as never;
const meant = `timeout: ${no} (did you mean timeoutMs?)`;

it.each<[string, (client: AppServerClient, session: Session) => unknown, string]>([
  ["session", (c) => c.session({ agentId: "a", ...(slip as object) }), meant],
  [
    "a session's handler",
    (c) => c.session({ agentId: "a", onapproval: () => {} } as never),
    `onapproval: ${no} (did you mean onApproval?)`,
  ],
  ["run", (_, s) => s.run("?", slip), meant],
  ["run with a schema", (_, s) => s.run("?", { outputSchema: {}, ...(slip as object) }), meant],
  ["all of run", (_, s) => s.run("?", { bogus: 1 } as never), ", outputSchema, outputJsonSchema)"],
  ...["outputschema", "output_schema", "output", "schema", "outputType", "responseFormat"].flatMap(
    (name): [string, (client: AppServerClient, session: Session) => unknown, string][] => [
      [
        `a result's ${name}`,
        (_, s) => s.run("?", { [name]: {} } as never),
        `${name}: ${no} (did you mean outputSchema?)`,
      ],
      [
        `the ${name} of many`,
        (c) => map(c, ["?"], { agents: ["a"], [name]: {} } as never),
        `${name}: ${no} (did you mean outputSchema?)`,
      ],
    ],
  ),
  [
    "a result's schema for the model alone",
    (_, s) => s.run("?", { outputJsonSchema: {} } as never),
    "outputJsonSchema: needs outputSchema",
  ],
  [
    "the same of many",
    (c) => map(c, ["?"], { agents: ["a"], outputJsonSchema: {} } as never),
    "outputJsonSchema: needs outputSchema",
  ],
  [
    "a schema where no result is waited for",
    (c) => c.runTurn({} as never, { outputSchema: {} } as never),
    `outputSchema: ${no} (only run and map wait`,
  ],
  ["send", (_, s) => s.send("?", slip), meant],
  ["stream", (_, s) => s.stream("?", slip), meant],
  ["textStream", (_, s) => s.textStream("?", slip), meant],
  ["fork", (_, s) => s.fork({ sginal: 1 } as never), `sginal: ${no} (did you mean signal?)`],
  ["setCwd", (_, s) => s.setCwd("/", slip), `timeout: ${no}`],
  ["abort", (_, s) => s.abort(slip), meant],
  ["map", (c) => map(c, ["?"], { agents: ["a"], ...(slip as object) }), meant],
  [
    "map's agents",
    (c) => map(c, ["?"], { agents: ["a"], agentId: "a" } as never),
    `agentId: ${no}`,
  ],
  ["runTurn", (c) => c.runTurn({} as never, slip), meant],
  ["sendTurn", (c) => c.sendTurn({} as never, slip), meant],
  ["info", (c) => c.info(slip), meant],
  ["request", (c) => c.request("list_models", {}, slip), meant],
  ["a family", (c) => c.models.list({}, slip), meant],
  [
    "a predicate of a family",
    (c) => c.models.list({}, { predicate: () => true } as never),
    "predi",
  ],
  ["a list", (c) => c.agents.all({ page: 1 } as never).next(), `page: ${no}`],
  [
    "the size of a page",
    (c) => c.files.entries("/", { pagesize: 1 } as never).next(),
    `pagesize: ${no} (did you mean pageSize?)`,
  ],
  [
    "the query of a list",
    (c) => c.conversations.all({ qurey: {} } as never).next(),
    `qurey: ${no} (did you mean query?)`,
  ],
  [
    "a query that is none",
    (c) => c.agents.all({ query: 5 } as never).next(),
    "query: expected an object, got number",
  ],
  [
    "a query that is a list",
    (c) => c.agents.all({ query: [1] } as never).next(),
    "query: expected an object, got a list",
  ],
  [
    "stored messages",
    (_, s) => s.messages({ befor: "x" } as never).next(),
    `befor: ${no} (did you mean before?)`,
  ],
  [
    "stored messages of another agent",
    (_, s) => s.messages({ agentId: "b" } as never).next(),
    `agentId: ${no} (the options are before, pageSize, timeoutMs, signal)`,
  ],
  ["a terminal", (c) => c.terminals.open({ columns: 1 } as never), `columns: ${no}`],
  [
    "a terminal's size",
    (c) => c.terminals.open({ col: 1 } as never),
    `col: ${no} (did you mean cols?)`,
  ],
  ["changes", (c) => c.files.changes("/x", slip), `timeout: ${no}`],
  ["messages", (c) => c.messages({ type: ["x"] } as never), `type: ${no} (did you mean types?)`],
  [
    "a filter",
    (c) => c.onMessage(() => {}, { type: "x" } as never),
    `type: ${no} (did you mean types?)`,
  ],
  [
    "tool calls",
    (c) => c.onExternalToolCall(() => "x" as never, { name: "x" } as never),
    `name: ${no}`,
  ],
  [
    "permissions",
    (c) => c.onApprovalRequest(() => ({}) as never, { run: 1 } as never),
    `run: ${no}`,
  ],
  ["the attempt", (c) => c.connect(slip), `timeout: ${no}`],
])("are refused before anything is sent: %s", async (_, call, words) => {
  const mock = await startMock([{ text: "yes" }]);
  const client = await connected(mock);
  const session = await client.session({ agentId: "a" });
  const before = mock.received.length;
  await refused(() => call(client, session), words);
  await client.info();
  expect(mock.received).toHaveLength(before + 1);
});

it("are refused by the double where it is asked what came", async () => {
  const mock = await startMock();
  await refused(
    () => mock.assertReceived("sync", { time: 0 } as never),
    `time: ${no} (did you mean times`,
  );
  await refused(() => mock.waitDone(slip), meant);
  await refused(() => mock.waitReceived("sync", 1, slip), meant);
});

it("says nothing of what is there and undefined, and takes what other clients take", async () => {
  const nothing = { bogus: undefined, authToken: undefined };
  const { client, runtime } = await prepared([{ text: "yes" }], {
    WebSocket: class {},
    ...nothing,
  });
  const given = { allowLoopStatusFallback: true, timeoutMs: 5000, bogus: undefined };
  expect(await client.runTurn({ runtime, payload: say("?") }, given)).toMatchObject({
    text: "yes",
  });
  const predicate = (message: { type: string }) => message.type === "app_server_info_response";
  await client.request("app_server_info", {}, { predicate: predicate as never, timeoutMs: 5000 });
});

it("takes options of other realms, and inherited ones", async () => {
  const mock = await startMock();
  const foreign = runInNewContext("({ url, settlePauseMs: 0 })", { url: mock.url });
  for (const options of [foreign, Object.create({ url: mock.url })]) {
    const client = await connect(options);
    await client.close();
  }
  await refused(() => client(Object.create({ url, bogus: 1 })), `bogus: ${no}`);
});

const numbers: [string, object, string][] = [
  ["half a tool", { externalToolConcurrency: 1.5 }, "externalToolConcurrency: expected a whole"],
  ["half a request", { maxPendingRequests: 1.5 }, "maxPendingRequests: expected a whole number"],
  ["half a byte", { maxMessageBytes: 1.5 }, "maxMessageBytes: expected a whole number"],
  ["too many bytes", { maxMessageBytes: 2 ** 40 }, "maxMessageBytes: expected a whole number, 429"],
  [
    "half an attempt",
    { reconnect: { maxAttempts: 1.5 } },
    "reconnect.maxAttempts: expected a whole",
  ],
  ["no number", { settlePauseMs: Number.NaN }, "settlePauseMs: expected a number, got NaN"],
];
it.each(numbers)("refuses %s", async (_, options, words) => {
  await refused(() => client({ url, ...options }), words);
});

it("takes attempts without an end", async () => {
  const made = client({ url, reconnect: { maxAttempts: Number.POSITIVE_INFINITY } });
  await made.close();
});

it("refuses a pace that is no number", async () => {
  await refused(() => replay("f", { speed: Number.NaN }), "speed: expected a number, got NaN");
});

it("takes null for a signal that is left out, as fetch does", async () => {
  const { client, runtime } = await prepared([{ text: "yes" }]);
  const signal = null;
  const payload = say("?");
  expect(await client.runTurn({ runtime, payload }, { signal })).toMatchObject({ text: "yes" });
  expect(await client.info({ signal })).toMatchObject({ type: "app_server_info_response" });
  const session = await client.session({ agentId: "a", signal });
  expect(await session.run("?", { signal })).toMatchObject({ text: "yes" });
  const { items } = await map(client, ["?"], { agents: ["a"], signal });
  expect(items).toMatchObject([{ result: { text: "yes" } }]);
  const gathered = await gather([session.send("?")], { signal });
  expect(gathered.items).toMatchObject([{ result: { text: "yes" } }]);
  await client.messages({ signal }).return();
});
