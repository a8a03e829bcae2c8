/**
 * A program with a client in each of several worker threads, all in the middle of a turn:
 * `workers.mjs URL WAY`. It prints `ready` when the server has begun to answer each of them, and what
 * it has seen at its end.
 */

import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { connect } from "@letta/app-client-native";

const WORKERS = 4;
const payload = { kind: "create_message", messages: [{ role: "user", content: "?" }] };

async function follow([url, way, number]) {
  const client = await connect(url);
  const { runtime } = await client.runtimeStart({ agent_id: `a-${number}`, mode: "standard" });
  parentPort.on("message", () => {
    if (way === "workers exit") process.exit(0);
    throw new Error("on purpose");
  });
  for await (const event of client.sendTurn({ runtime, payload })) {
    if (event.type === "assistant_delta") parentPort.postMessage(event.text);
  }
}

async function direct(url, way) {
  const workers = Array.from(
    { length: WORKERS },
    (_, number) => new Worker(new URL(import.meta.url), { workerData: [url, way, number] }),
  );
  const ended = workers.map(
    (worker) =>
      new Promise((resolve) => {
        worker.on("error", (error) => resolve(error.message));
        worker.on("exit", resolve);
      }),
  );
  await Promise.all(workers.map((worker) => once(worker, "message")));
  console.log("ready");
  switch (way) {
    case "exit":
      process.exit(0);
      break;
    case "terminated":
      await Promise.all(workers.map((worker) => worker.terminate()));
      break;
    case "terminated while exiting":
      for (const worker of workers) worker.terminate();
      process.exit(0);
      break;
    default:
      for (const worker of workers) worker.postMessage("end");
  }
  console.log(String(await Promise.all(ended)));
  // The process goes on, and so do new clients of it, until it is told that this was seen.
  const client = await connect(url);
  await client.info();
  console.log("alone");
  await once(process.stdin, "data");
  await client.close();
  process.exit(0);
}

if (isMainThread) await direct(process.argv[2], process.argv[3]);
else await follow(workerData);
