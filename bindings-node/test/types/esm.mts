import {
  type AppServerClient,
  type AppServerInfoResponseMessage,
  connect,
  createAppServerClient,
  type ListModelsResponseMessage,
  type RuntimeScope,
  type RuntimeStartResponseMessage,
  type TurnResult,
  TurnTimeout,
  type WsProtocolMessage,
} from "@letta/app-client-native";
import { MockServer, script } from "@letta/app-client-native/testing";
import { expectTypeOf } from "vitest";

/** Never run: only its types count. */
export async function uses(url: string): Promise<void> {
  await using client = await connect(url, { signal: AbortSignal.timeout(1000) });
  expectTypeOf(client).toEqualTypeOf<AppServerClient>();
  expectTypeOf(createAppServerClient({ url }).connect()).resolves.toEqualTypeOf<AppServerClient>();

  const off = client.onMessage((message, channel) => {
    expectTypeOf(message).toEqualTypeOf<WsProtocolMessage>();
    expectTypeOf(channel).toEqualTypeOf<"control" | "stream">();
    switch (message.type) {
      case "turn_finished":
        expectTypeOf(message.error).toEqualTypeOf<string | undefined>();
        break;
      case "stream_delta":
        expectTypeOf(message.delta.message_type).toExtend<string>();
        break;
    }
  });
  expectTypeOf(off).toEqualTypeOf<() => void>();

  expectTypeOf(client.info()).resolves.toEqualTypeOf<AppServerInfoResponseMessage>();
  const started = await client.runtimeStart({ create_agent: { body: {} }, mode: "acceptEdits" });
  expectTypeOf(started).toEqualTypeOf<RuntimeStartResponseMessage>();
  expectTypeOf(started.runtime).toEqualTypeOf<RuntimeScope | null>();
  if (!started.runtime) return;

  const models = client.request<"list_models", ListModelsResponseMessage>("list_models", {
    force: true,
  });
  expectTypeOf(models).resolves.toEqualTypeOf<ListModelsResponseMessage>();
  const { runtime } = started;
  expectTypeOf(
    client.request(
      { type: "sync", request_id: "r", runtime },
      { predicate: (message) => message.type === "sync_response" },
    ),
  )
    .resolves.toHaveProperty("type")
    .toEqualTypeOf<"sync_response">();

  const result = await client.runTurn(
    { runtime, payload: { kind: "create_message", messages: [{ role: "user", content: "Hi" }] } },
    { approvals: "wait", idleTimeoutMs: 120_000, allowLoopStatusFallback: true },
  );
  expectTypeOf(result).toEqualTypeOf<TurnResult>();
  expectTypeOf(result.usage.contextTokens).toEqualTypeOf<number | null>();
  expectTypeOf(new TurnTimeout("late").code).toEqualTypeOf<"turn_timeout">();

  // @ts-expect-error The server would answer this mode with silence.
  await client.runtimeStart({ agent_id: "a", mode: "yolo" });
  // @ts-expect-error A runtime has two parts.
  await client.sync({ runtime: { agent_id: "a" } });

  await using mock = await MockServer.start([script.turn({ text: "42", usage: [10, 2] })]);
  expectTypeOf(mock.url).toEqualTypeOf<string>();
}
