/**
 * A scripted model behind an OpenAI-compatible HTTP interface. It computes nothing: the user's
 * text says what to answer (see directives.mjs and the table in README.md), so tests can compare
 * every token.
 */

import { once } from "node:events";
import http from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { parseScript, readPrompt } from "./directives.mjs";

export const MODEL_ID = "echo-1";
const PROMPT_TOKENS = 10;
const CONTEXT_LENGTH = 128_000;

/**
 * @typedef {object} ModelRequest
 * @property {string} conversation
 * @property {string} prompt the text the directives were taken from
 * @property {number} run 0 for the first request of a turn, +1 after each round of tool calls
 * @property {any} body the request as received
 * @property {"open" | "answered" | "error" | "cut" | "gone"} outcome "gone": the client left first
 */

/**
 * @typedef {object} Answer
 * @property {string[]} reasoning
 * @property {string[]} text
 * @property {{id: string, type: "function", function: {name: string, arguments: string}}[]} toolCalls
 * @property {"stop" | "length" | "tool_calls"} finish
 */

/** @param {number} amount @param {string} word */
function words(amount, word) {
  return Array.from({ length: amount }, (_, index) => `${word}${index} `);
}

/** @param {Answer} answer */
function usageOf(answer) {
  const made = answer.reasoning.length + answer.text.length + answer.toolCalls.length;
  return {
    prompt_tokens: PROMPT_TOKENS,
    completion_tokens: made,
    total_tokens: PROMPT_TOKENS + made,
    completion_tokens_details: { reasoning_tokens: answer.reasoning.length },
  };
}

/**
 * The App Server decides by this body whether to try again, so each status gets the kind of
 * error a real provider sends with it.
 * @param {number} status
 */
function errorBody(status) {
  const reason = http.STATUS_CODES[status] ?? "Error";
  const type =
    status >= 500 ? "server_error" : status === 429 ? "rate_limit_error" : "invalid_request_error";
  return { error: { message: `${reason} (scripted)`, type, code: type } };
}

/** @param {http.ServerResponse} response @param {number} status @param {unknown} body */
function sendJson(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

/** @param {http.IncomingMessage} request */
async function readJson(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString("utf8"));
}

/** One running model: what it has been asked, and what it must remember between two requests. */
class Model {
  /** @type {ModelRequest[]} */
  requests = [];
  /** @type {Set<() => void>} called at every change of a request */
  listeners = new Set();
  /** Errors already given, per prompt. @type {Map<string, number>} */
  errorsGiven = new Map();
  /** Prompts whose answer was already cut. @type {Set<string>} */
  cutBefore = new Set();
  callNumber = 0;

  changed() {
    for (const listener of [...this.listeners]) listener();
  }

  /**
   * @param {import("./directives.mjs").Script} script
   * @param {number} run
   * @returns {Answer}
   */
  answer(script, run) {
    const reasoning = run === 0 ? words(script.reasoning, "think") : [];
    if (script.problem)
      return {
        reasoning: [],
        text: [`bad directive: ${script.problem}`],
        toolCalls: [],
        finish: "stop",
      };
    const tools = script.parallel
      ? run === 0
        ? script.tools
        : []
      : script.tools.slice(run, run + 1);
    if (tools.length === 0) {
      return {
        reasoning,
        text: words(script.tokens, "tok"),
        toolCalls: [],
        finish: script.length ? "length" : "stop",
      };
    }
    const toolCalls = tools.map((tool) => ({
      id: `call_${++this.callNumber}`,
      type: /** @type {const} */ ("function"),
      function: tool,
    }));
    return { reasoning, text: [], toolCalls, finish: "tool_calls" };
  }

  /** @param {http.IncomingMessage} request @param {http.ServerResponse} response */
  async complete(request, response) {
    const body = await readJson(request);
    const prompt = readPrompt(body.messages ?? []);
    const script = parseScript(prompt.text);
    /** @type {ModelRequest} */
    const entry = {
      conversation: prompt.conversation,
      prompt: prompt.text,
      run: prompt.run,
      body,
      outcome: "open",
    };
    const gone = new AbortController();
    response.on("close", () => {
      if (entry.outcome === "open") entry.outcome = "gone";
      gone.abort();
      this.changed();
    });
    this.requests.push(entry);
    this.changed();

    if (script.hang) return;
    const errors = this.errorsGiven.get(prompt.key) ?? 0;
    if (script.error && errors < script.error.times) {
      this.errorsGiven.set(prompt.key, errors + 1);
      entry.outcome = "error";
      sendJson(response, script.error.status, errorBody(script.error.status));
      return;
    }
    const answer = this.answer(script, prompt.run);
    const cutAt =
      answer.toolCalls.length > 0 || (script.cutOnce && this.cutBefore.has(prompt.key))
        ? null
        : script.cut;
    if (cutAt !== null) this.cutBefore.add(prompt.key);

    const deltas = [
      ...answer.reasoning.map((text) => ({ reasoning_content: text })),
      ...answer.text.map((text) => ({ content: text })),
    ];
    const send = body.stream ? streamTo(response, body) : null;
    for (const [index, delta] of deltas.entries()) {
      if (index === cutAt) break;
      if (script.sleepMs > 0) await delay(script.sleepMs, undefined, { signal: gone.signal });
      await send?.([{ index: 0, delta, finish_reason: null }]);
    }
    if (cutAt !== null && cutAt <= deltas.length) {
      entry.outcome = "cut";
      response.destroy();
      return;
    }
    entry.outcome = "answered";
    if (!send) return sendJson(response, 200, wholeAnswer(answer));
    for (const [index, call] of answer.toolCalls.entries()) {
      await send([{ index: 0, delta: { tool_calls: [{ index, ...call }] }, finish_reason: null }]);
    }
    await send([{ index: 0, delta: {}, finish_reason: answer.finish }]);
    if (body.stream_options?.include_usage) await send([], usageOf(answer));
    response.end("data: [DONE]\n\n");
  }

  /** @param {http.IncomingMessage} request @param {http.ServerResponse} response */
  async handle(request, response) {
    const route = `${request.method} ${new URL(request.url ?? "/", "http://model").pathname}`;
    if (route === "POST /v1/chat/completions") return this.complete(request, response);
    if (route === "GET /v1/models") {
      return sendJson(response, 200, {
        object: "list",
        data: [{ id: MODEL_ID, object: "model", created: 0, owned_by: "tests" }],
      });
    }
    // LM Studio's own list; the App Server asks it first and learns the abilities of the model from it.
    if (route === "GET /api/v0/models") {
      const entry = {
        id: MODEL_ID,
        object: "model",
        type: "vlm",
        state: "loaded",
        capabilities: ["tool_use"],
      };
      return sendJson(response, 200, {
        object: "list",
        data: [
          { ...entry, max_context_length: CONTEXT_LENGTH, loaded_context_length: CONTEXT_LENGTH },
        ],
      });
    }
    sendJson(response, 404, {
      error: { message: `no such endpoint: ${route}`, type: "invalid_request_error" },
    });
  }
}

/**
 * @param {http.ServerResponse} response
 * @param {any} body
 * @returns {(choices: unknown[], usage?: unknown) => Promise<void>}
 */
function streamTo(response, body) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  const head = {
    id: "chatcmpl-scripted",
    object: "chat.completion.chunk",
    created: 0,
    model: body.model ?? MODEL_ID,
  };
  // Each chunk is handed to the system before the next one is made: a cut must lose none of the tokens before it.
  return (choices, usage) =>
    new Promise((resolve, reject) => {
      response.write(
        `data: ${JSON.stringify({ ...head, choices, ...(usage ? { usage } : {}) })}\n\n`,
        (error) => (error ? reject(error) : resolve()),
      );
    });
}

/** @param {Answer} answer */
function wholeAnswer(answer) {
  const message = {
    role: "assistant",
    content: answer.text.length > 0 ? answer.text.join("") : null,
    ...(answer.reasoning.length > 0 ? { reasoning_content: answer.reasoning.join("") } : {}),
    ...(answer.toolCalls.length > 0 ? { tool_calls: answer.toolCalls } : {}),
  };
  return {
    id: "chatcmpl-scripted",
    object: "chat.completion",
    created: 0,
    model: MODEL_ID,
    choices: [{ index: 0, message, finish_reason: answer.finish }],
    usage: usageOf(answer),
  };
}

/**
 * @param {{port?: number}} [options] port 0 (the default) takes a free one
 * @returns {Promise<{
 *   url: string,
 *   requests: ModelRequest[],
 *   waitFor: (matches: (request: ModelRequest) => boolean) => Promise<ModelRequest>,
 *   unref: () => void,
 *   close: () => Promise<void>,
 * }>}
 */
export async function startModel({ port = 0 } = {}) {
  const model = new Model();
  const server = http.createServer((request, response) => {
    model.handle(request, response).catch((error) => {
      // A client that has left needs no answer; everything else is a fault that must be seen.
      if (response.destroyed) return;
      if (response.headersSent) response.destroy();
      else
        sendJson(response, 400, {
          error: { message: String(error), type: "invalid_request_error" },
        });
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${address.port}/v1`,
    requests: model.requests,
    waitFor: (matches) =>
      new Promise((resolve) => {
        const look = () => {
          const found = model.requests.find(matches);
          if (!found) return;
          model.listeners.delete(look);
          resolve(found);
        };
        model.listeners.add(look);
        look();
      }),
    unref: () => void server.unref(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
