/**
 * A short program that ends in one of several ways. As a process: `child.mjs URL WAY`; as a worker
 * thread: the same in `workerData`.
 */

import { once } from "node:events";
import net from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { connect, createAppServerClient } from "@letta/app-client-native";

const [url, way] = isMainThread ? process.argv.slice(2) : workerData;
const client = await connect(url);
client.onMessage(() => {});
const { runtime } = await client.runtimeStart({ agent_id: "a", mode: "standard" });
const payload = { kind: "create_message", messages: [{ role: "user", content: "?" }] };

/** Says which error came. */
function tell({ code }) {
  if (isMainThread) console.log(code);
  else parentPort.postMessage(code);
}

/** A client in its handshake, with a server that never answers. */
async function inHandshake() {
  const server = net.createServer((socket) => socket.unref());
  server.listen(0, "127.0.0.1").unref();
  await once(server, "listening");
  const slow = createAppServerClient({ url: `ws://127.0.0.1:${server.address().port}` });
  const connecting = slow.connect();
  await once(server, "connection");
  return { slow, connecting };
}

switch (way) {
  case "awaited":
    await client.runTurn({ runtime, payload });
    await client.close();
    break;
  case "not closed":
    await client.runTurn({ runtime, payload });
    break;
  case "never connected":
    createAppServerClient({ url });
    await client.close();
    break;
  case "exit while pending":
    client.runTurn({ runtime, payload }).catch(() => {});
    client.request("list_models").catch(() => {});
    process.exit(0);
    break;
  case "pending keeps alive":
    // The server is silent; the process stays for the limit, and no longer.
    client.request("list_models", {}, { timeoutMs: 200 }).catch(tell);
    break;
  case "pending keeps alive beside one that is closed": {
    // All clients have one timer; who lets go of it lets go for itself.
    client.request("list_models", {}, { timeoutMs: 200 }).catch(tell);
    const other = await connect(url);
    other.request("list_models").catch(() => {});
    await other.close();
    await other.close();
    break;
  }
  case "closed, not awaited":
    client.request("list_models").catch(() => {});
    client.close();
    break;
  case "readers that nobody reads":
    client.messages();
    client.files.changes("/a");
    break;
  case "reading keeps alive":
    // The timer of the signal alone would not.
    client
      .messages({ types: ["x"], signal: AbortSignal.timeout(200) })
      .next()
      .catch(tell);
    break;
  case "exit in a handshake":
    await client.close();
    (await inHandshake()).connecting.catch(() => {});
    process.exit(0);
    break;
  case "closed in a handshake, twice": {
    const { slow, connecting } = await inHandshake();
    connecting.catch(tell);
    await Promise.all([slow.close(), slow.close(), client.close()]);
    await slow.close();
    break;
  }
  case "closed in a finalizer": {
    setFlagsFromString("--expose_gc");
    const collect = globalThis.Bun ? () => Bun.gc(true) : runInNewContext("gc");
    const owners = new FinalizationRegistry((owned) => owned.close());
    const pending = client.request("list_models").catch(tell);
    (() => owners.register({}, client))();
    while (client.state !== "closed") {
      await new Promise(setImmediate);
      collect();
    }
    await pending;
    break;
  }
  case "closed at exit":
    client.request("list_models").catch(() => {});
    process.once("exit", () => client.close());
    process.exit(0);
    break;
  default:
    throw new Error(`unknown way ${way}`);
}
