/** Three clients: ours, the one that comes with the App Server, and one that is written by hand. */

import { createRequire } from "node:module";

const payload = () => ({ kind: "create_message", messages: [{ role: "user", content: "go" }] });

/** Programs load a package once, however many connections they have. */
function once(load) {
  let loaded;
  return () => {
    loaded ??= load();
    return loaded;
  };
}

const webSocket = once(async () => (await import("ws")).default);
const referenceClient = once(async () => {
  const { serverRequire } = await import("../../../tests/live/setup.mjs");
  return serverRequire("@letta-ai/letta-code/app-server-client").createAppServerClient;
});
/** Where the benchmark has put the optimised build of our package. */
const ourPackage = once(() =>
  createRequire(`${process.env.BENCH_NODE}/`)("@letta/app-client-native"),
);

async function ours(url) {
  const { createAppServerClient } = ourPackage();
  const client = createAppServerClient({ url, settlePauseMs: 0 });
  await client.connect();
  const way = process.env.BENCH_WAY;
  const started = (conversation_id) =>
    client.runtimeStart({ agent_id: "a", conversation_id, mode: "standard" });
  return {
    start: async (conversation) => (await started(conversation)).runtime,
    turn: async (runtime) => (await client.runTurn({ runtime, payload: payload() })).text,
    async stream(runtime, onText) {
      if (way === "messages") {
        const off = client.onMessage(
          ({ delta }) => {
            if (delta.message_type !== "assistant_message") return;
            onText(delta.content.map((part) => part.text).join(""));
          },
          { types: ["stream_delta"] },
        );
        await client.runTurn({ runtime, payload: payload() });
        off();
        return;
      }
      for await (const event of client.sendTurn({ runtime, payload: payload() })) {
        if (event.type === "assistant_delta") onText(event.text);
      }
    },
    async outputs(runtime, onOutput) {
      for await (const event of client.sendTurn({ runtime, payload: payload() })) {
        if (event.type === "tool_call_end") onOutput(event.output);
      }
    },
    list: () => client.conversationList(),
    close: () => client.close(),
  };
}

/** A turn over messages: what one writes on top of the reference client. */
async function reference(url) {
  const createAppServerClient = await referenceClient();
  const client = createAppServerClient({ url, WebSocket: await webSocket() });
  await client.connect();
  const turn = (runtime, onDelta) =>
    new Promise((resolve) => {
      const off = client.onMessage((frame) => {
        if (frame.runtime?.conversation_id !== runtime.conversation_id) return;
        if (frame.type === "stream_delta") onDelta(frame.delta);
        if (frame.type !== "turn_finished") return;
        off();
        resolve();
      });
      client.input({ runtime, payload: payload() });
    });
  return {
    start: async (conversation_id) =>
      (await client.runtimeStart({ agent_id: "a", conversation_id, mode: "standard" })).runtime,
    ...overDeltas(turn),
    list: () => client.conversationList(),
    close: () => client.close(),
  };
}

/** The same in as few lines as possible: one look-up per frame. */
async function byHand(url) {
  const WebSocket = await webSocket();
  const socket = new WebSocket(`${url}/ws`, { perMessageDeflate: false, maxPayload: 1 << 28 });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const [requests, turns] = [new Map(), new Map()];
  socket.on("message", (data) => {
    const frame = JSON.parse(data.toString());
    if (frame.type === "stream_delta") {
      turns.get(frame.runtime.conversation_id)?.onDelta(frame.delta);
    } else if (frame.type === "turn_finished") {
      const key = frame.runtime.conversation_id;
      turns.get(key)?.resolve();
      turns.delete(key);
    } else if (frame.request_id !== undefined) {
      requests.get(frame.request_id)?.(frame);
      requests.delete(frame.request_id);
    }
  });
  let number = 0;
  const request = (command) =>
    new Promise((resolve) => {
      const request_id = `r-${number++}`;
      requests.set(request_id, resolve);
      socket.send(JSON.stringify({ ...command, request_id }));
    });
  const turn = (runtime, onDelta) =>
    new Promise((resolve) => {
      turns.set(runtime.conversation_id, { onDelta, resolve });
      socket.send(JSON.stringify({ type: "input", request_id: "i", runtime, payload: payload() }));
    });
  const start = (conversation_id) =>
    request({ type: "runtime_start", agent_id: "a", conversation_id, mode: "standard" });
  return {
    start: async (conversation) => (await start(conversation)).runtime,
    ...overDeltas(turn),
    list: () => request({ type: "conversation_list" }),
    close: () => socket.close(),
  };
}

/** What handlers of deltas do with a turn. */
function overDeltas(turn) {
  const textOf = (delta) =>
    delta.message_type === "assistant_message"
      ? delta.content.map((part) => part.text).join("")
      : undefined;
  return {
    async turn(runtime) {
      const parts = [];
      await turn(runtime, (delta) => {
        const text = textOf(delta);
        if (text !== undefined) parts.push(text);
      });
      return parts.join("");
    },
    stream: (runtime, onText) =>
      turn(runtime, (delta) => {
        const text = textOf(delta);
        if (text !== undefined) onText(text);
      }),
    outputs: (runtime, onOutput) =>
      turn(runtime, (delta) => {
        if (delta.message_type === "tool_return_message") onOutput(delta.tool_return);
      }),
  };
}

export const clients = { ours, reference, "by-hand": byHand };
