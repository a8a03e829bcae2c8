/** The scripted model alone, without a server: what it answers, and that it keeps things apart. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { parseScript } from "./directives.mjs";
import { startModel } from "./model.mjs";

/** @type {Awaited<ReturnType<typeof startModel>>} */
let model;
before(async () => {
  model = await startModel();
});
after(() => model.close());

/** @param {string} conversation @param {any[]} messages */
function requestBody(conversation, messages) {
  const system = {
    role: "system",
    content: `- AGENT_ID: agent-1\n- CONVERSATION_ID: ${conversation}`,
  };
  return {
    model: "echo-1",
    stream: true,
    stream_options: { include_usage: true },
    messages: [system, ...messages],
  };
}

/** @param {any} body @param {AbortSignal} [signal] */
function post(body, signal) {
  return fetch(`${model.url}/chat/completions`, {
    method: "POST",
    body: JSON.stringify(body),
    signal,
  });
}

/** @param {any} body */
async function stream(body) {
  const response = await post(body);
  assert.equal(response.status, 200);
  /** @type {{contents: string[], reasoning: string[], calls: any[], finish: string | null, usage: any, whole: boolean}} */
  const result = {
    contents: [],
    reasoning: [],
    calls: [],
    finish: null,
    usage: null,
    whole: false,
  };
  let text = "";
  try {
    for await (const chunk of /** @type {any} */ (response.body))
      text += Buffer.from(chunk).toString("utf8");
  } catch {
    // Cut; what came before counts.
  }
  for (const line of text.split("\n").filter((line) => line.startsWith("data: "))) {
    if (line === "data: [DONE]") {
      result.whole = true;
      continue;
    }
    const chunk = JSON.parse(line.slice(6));
    if (chunk.usage) result.usage = chunk.usage;
    for (const { delta, finish_reason } of chunk.choices) {
      if (delta.content) result.contents.push(delta.content);
      if (delta.reasoning_content) result.reasoning.push(delta.reasoning_content);
      if (delta.tool_calls) result.calls.push(...delta.tool_calls);
      result.finish = finish_reason ?? result.finish;
    }
  }
  return result;
}

/** @param {string} text */
function user(text) {
  return { role: "user", content: text };
}

/** @param {any[]} calls */
function withResults(calls) {
  return [
    { role: "assistant", content: null, tool_calls: calls },
    ...calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "done" })),
  ];
}

test("two tokens unless told otherwise, with usage", async () => {
  const answer = await stream(requestBody("default", [user("hello")]));
  assert.deepEqual(answer.contents, ["tok0 ", "tok1 "]);
  assert.equal(answer.finish, "stop");
  assert.ok(answer.whole);
  assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [10, 2]);
});

test("without streaming the same answer comes in one piece", async () => {
  const response = await post({
    ...requestBody("whole", [user("REASON=1 N=3 LENGTH")]),
    stream: false,
  });
  const { choices, usage } = /** @type {any} */ (await response.json());
  assert.equal(choices[0].message.content, "tok0 tok1 tok2 ");
  assert.equal(choices[0].message.reasoning_content, "think0 ");
  assert.equal(choices[0].finish_reason, "length");
  assert.equal(usage.completion_tokens, 4);
});

test("what the server adds to a message rules nothing", async () => {
  const content = [
    { type: "text", text: "<system-reminder>\nthe user once said N=9 HANG\n</system-reminder>" },
    { type: "text", text: "N=1 please" },
    { type: "text", text: "<system-reminder>ERR=500</system-reminder>" },
  ];
  const answer = await stream(requestBody("reminders", [{ role: "user", content }]));
  assert.deepEqual(answer.contents, ["tok0 "]);
});

test("only the last text counts, and no text that was already answered", async () => {
  const history = [user("N=7"), { role: "assistant", content: "tok0 " }];
  assert.equal((await stream(requestBody("last", [...history, user("go on")]))).contents.length, 2);
  assert.equal((await stream(requestBody("last", [user("N=7"), user("N=3")]))).contents.length, 3);
});

test("tools are called one run after the other, then comes the text", async () => {
  /** @type {any[]} */
  const messages = [user("REASON=1 TOOL=A|%7B%22x%22%3A1%7D TOOL=B N=1")];
  const first = await stream(requestBody("tools", messages));
  assert.deepEqual(
    first.calls.map((call) => call.function),
    [{ name: "A", arguments: '{"x":1}' }],
  );
  assert.deepEqual(
    [first.finish, first.reasoning.length, first.usage.completion_tokens],
    ["tool_calls", 1, 2],
  );
  messages.push(...withResults(first.calls));
  const second = await stream(requestBody("tools", messages));
  assert.deepEqual(
    second.calls.map((call) => call.function),
    [{ name: "B", arguments: "{}" }],
  );
  messages.push(...withResults(second.calls), user("<system-reminder>N=5</system-reminder>"));
  const third = await stream(requestBody("tools", messages));
  assert.deepEqual([third.contents, third.reasoning, third.finish], [["tok0 "], [], "stop"]);
  assert.notEqual(first.calls[0].id, second.calls[0].id);
});

test("PAR calls all tools in one run", async () => {
  const messages = [user("PAR TOOL=A TOOL=B N=1")];
  const first = await stream(requestBody("parallel", messages));
  assert.deepEqual(
    first.calls.map((call) => [call.index, call.function.name]),
    [
      [0, "A"],
      [1, "B"],
    ],
  );
  const second = await stream(requestBody("parallel", [...messages, ...withResults(first.calls)]));
  assert.deepEqual(second.contents, ["tok0 "]);
});

test("errors are counted for each conversation", async () => {
  const statuses = [];
  for (const conversation of ["e1", "e2", "e1", "e1", "e2", "e2"]) {
    const response = await post(requestBody(conversation, [user("ERR=503x2")]));
    statuses.push(`${conversation} ${response.status}`);
    await response.arrayBuffer();
  }
  assert.deepEqual(statuses, ["e1 503", "e2 503", "e1 503", "e1 200", "e2 503", "e2 200"]);
});

test("an error without a count stays", async () => {
  for (let index = 0; index < 5; index++)
    assert.equal((await post(requestBody("forever", [user("ERR=429")]))).status, 429);
});

test("CUT sends its tokens and no end", async () => {
  for (let index = 0; index < 2; index++) {
    const answer = await stream(requestBody("cut", [user("CUT=2 N=4")]));
    assert.deepEqual(
      [answer.contents, answer.finish, answer.whole],
      [["tok0 ", "tok1 "], null, false],
    );
  }
});

test("CUTONCE cuts the first time only", async () => {
  const body = requestBody("cutonce", [user("CUT=1 CUTONCE N=3")]);
  assert.equal((await stream(body)).contents.length, 1);
  const again = await stream(body);
  assert.deepEqual([again.contents.length, again.whole], [3, true]);
});

test("HANG lasts until the client leaves", async () => {
  const leave = new AbortController();
  const response = post(requestBody("hang", [user("HANG alone")]), leave.signal);
  const request = await model.waitFor((request) => request.prompt === "HANG alone");
  assert.equal(request.outcome, "open");
  leave.abort();
  await assert.rejects(response, { name: "AbortError" });
  await model.waitFor((request) => request.prompt === "HANG alone" && request.outcome === "gone");
});

test("a directive that cannot be read is answered with what is wrong", async () => {
  const answer = await stream(requestBody("bad", [user("TOOL=Bash|%7Bnot-json")]));
  assert.match(answer.contents.join(""), /^bad directive: TOOL=Bash/);
});

test("words that only look like directives are left alone", () => {
  assert.deepEqual(parseScript("Nothing n=4 XN=4 toString= PARallel length"), parseScript(""));
});

test("the model is listed in both ways", async () => {
  for (const path of ["/v1/models", "/api/v0/models"]) {
    const list = /** @type {any} */ (await (await fetch(new URL(path, model.url))).json());
    assert.deepEqual(
      list.data.map((/** @type {any} */ entry) => entry.id),
      ["echo-1"],
    );
  }
});
