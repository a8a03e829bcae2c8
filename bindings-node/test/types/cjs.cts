import native = require("@letta/app-client-native");
import testing = require("@letta/app-client-native/testing");

import type { AppServerClient, TurnResult } from "@letta/app-client-native";

/** What a library in CommonJS takes, which has the same types as an ES module. */
export async function library(client: AppServerClient): Promise<native.ClientClosed> {
  await client.close();
  return new native.ClientClosed("closed");
}

/** Never run: only its types count. */
export async function uses(url: string): Promise<TurnResult> {
  const client: AppServerClient = await native.connect({
    url,
    authToken: "t",
    transport: "single",
  });
  const error: Error & { code: string } = new native.AuthError("no");
  const off: () => void = client.onDisconnect(({ event }) => console.log(event.code, error.code));
  off();
  const mock: testing.MockServer = await testing.MockServer.play("file", "split");
  await mock.close();
  const off2: () => void = client.onApprovalRequest(() => native.deny("no"));
  off2();
  return client.runTurn({
    runtime: { agent_id: "a", conversation_id: "default" },
    payload: { kind: "create_message", messages: [{ role: "user", content: "Hi" }] },
  });
}
