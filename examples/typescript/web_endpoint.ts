// An HTTP endpoint: GET /?q=... answers with the agent's text while it comes.
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "@letta/app-client-native";

const url = process.env.LETTA_URL ?? "ws://127.0.0.1:4500";
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";
const createAgent = { body: { name: "helper", model }, pin_global: false };
const port = Number(process.env.PORT ?? 8000);

await using client = await connect(url);
await using first = await client.session({ createAgent });

async function answer(question: string, response: ServerResponse): Promise<void> {
  // A reader who goes away stops the turn.
  const gone = new AbortController();
  const { signal } = gone;
  response.on("close", () => gone.abort());
  await using session = await client.session({ agentId: first.agentId });
  const turn = session.send(question, { signal, timeoutMs: 120_000 });
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  for await (const text of turn.textStream()) {
    if (!response.write(text)) await once(response, "drain", { signal });
  }
  const { status } = await turn;
  if (status !== "completed") throw new Error(`the turn is ${status}`);
  response.end();
}

const server = createServer((request, response) => {
  const question = new URL(request.url ?? "/", "http://localhost").searchParams.get("q");
  if (!question) {
    response.writeHead(400).end();
    return;
  }
  answer(question, response).catch((error: Error) => {
    console.log("a request failed:", error.message);
    response.destroy(); // so that half an answer cannot be taken for a whole one
  });
});
server.listen(port, "127.0.0.1");
await once(server, "listening");
console.log(`ready: http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
server.close();
server.closeAllConnections();
