import { type AppServerClient, connect, type TurnResult } from "@letta/app-client-native";
import { MockServer } from "@letta/app-client-native/testing";

export async function ask(client: AppServerClient, question: string): Promise<TurnResult> {
  const session = await client.session({ agentId: "agent-1" });
  return session.run(question);
}

export async function answer(): Promise<string> {
  const mock = await MockServer.start([{ text: ["4", "2"] }]);
  const client = await connect(mock.url);
  try {
    // @ts-expect-error: the types are really there, and refuse what does not exist.
    client.noSuchMethod;
    return (await ask(client, "What is six times seven?")).text;
  } finally {
    await client.close();
    await mock.close();
  }
}
