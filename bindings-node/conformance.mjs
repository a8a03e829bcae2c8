/**
 * Replays recordings through the public client and compares what `runTurn` reports with
 * `EXPECTED.json`:
 *
 *     node conformance.mjs DIR
 *
 * DIR has the layout of `protocol/traces`. Prints a line for each failure and, last,
 * `N passed, N failed`, which counts inputs and recordings that could not be replayed.
 */

import fs from "node:fs";
import path from "node:path";
import { createAppServerClient, LettaAppError } from "@letta/app-client-native";
import { MockServer } from "@letta/app-client-native/testing";
import { differences } from "./scripts/differences.mjs";

const AT_ONCE = 16;
const FRAME_LIMIT_MS = 10_000;
const TURN_LIMIT_MS = 15_000;

/** Resolves as the promise does, or rejects when the time is up. */
async function within(limitMs, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what()} after ${limitMs} ms`)), limitMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A connected client that knows how many frames it has seen and how many the recording has. */
class Player {
  recorded = 0;
  #seen = 0;
  #waiting = () => {};

  static async open(url) {
    const player = new Player();
    player.client = createAppServerClient({ url, reconnect: false });
    player.gone = new Promise((resolve) => player.client.onDisconnect(resolve));
    player.client.onMessage(() => {
      player.#seen += 1;
      if (player.#seen >= player.recorded) player.#waiting();
    });
    await player.client.connect();
    return player;
  }

  /** Waits until everything the recorded client had seen by now has come. */
  async catchUp() {
    if (this.#seen >= this.recorded) return;
    const come = new Promise((resolve) => {
      this.#waiting = resolve;
    });
    await within(FRAME_LIMIT_MS, () => `saw ${this.#seen} of ${this.recorded} frames`, come);
  }
}

/** Plays one recording; gives each expected input with what its call came to. */
async function replay(file, generation, expected) {
  const mock = await MockServer.play(file, generation);
  const players = new Map();
  const opened = [];
  const turns = [];
  const left = [...expected];
  let number = 0;
  try {
    for (const text of fs.readFileSync(file, "utf8").split("\n")) {
      number += 1;
      if (text.trim() === "") continue;
      const line = JSON.parse(text);
      const label = line.client ?? "";
      const player = players.get(label);
      if (line.event === "open" && line.channel !== "stream") {
        players.set(label, await Player.open(mock.url));
        opened.push(players.get(label));
      } else if (line.event === "close" && line.channel !== "stream" && player) {
        // What came last on the other socket of a pair may be lost with it, as in reality.
        await within(FRAME_LIMIT_MS, () => "still connected", player.gone);
        players.delete(label);
      } else if (player && typeof line.frame?.type === "string") {
        if (line.dir === "recv") player.recorded += 1;
        else turns.push(...(await send(player, generation, line, left)));
      }
    }
    const ended = await Promise.all(turns.map(({ call }) => call));
    return turns.map(({ input }, index) => ({ input, got: ended[index] }));
  } catch (error) {
    throw new Error(`line ${number}: ${mock.failure ?? error.message}`);
  } finally {
    await Promise.all(opened.map(({ client }) => client.close()));
    await mock.close();
  }
}

/** Sends one frame of a recording: an expected input as a turn, anything else as it is. */
async function send(player, generation, line, left) {
  await player.catchUp();
  const { client } = player;
  const ids = JSON.stringify(line.frame.payload?.messages?.map((each) => each.client_message_id));
  const at = left.findIndex(
    (input) =>
      line.frame.type === "input" &&
      input.sent_t_ms === line.t_ms &&
      (input.client ?? "") === (line.client ?? "") &&
      JSON.stringify(input.client_message_ids) === ids,
  );
  if (at < 0) {
    client.sendRaw(line.frame);
    return [];
  }
  const [input] = left.splice(at, 1);
  const { type: _, ...command } = line.frame;
  // The mock answers an id that the recording lacks, with a frame that it lacks as well.
  if (generation === "single" && command.request_id === undefined) player.recorded += 1;
  const outcome = client.runTurn(command, { approvals: "wait" }).then(
    (result) => ({ result }),
    (error) => ({ error, result: error instanceof LettaAppError ? error.result : undefined }),
  );
  const unended = (error) => ({ error });
  return [
    { input, call: within(TURN_LIMIT_MS, () => "the call had not ended", outcome).catch(unended) },
  ];
}

const isRefusal = (text) => /"event": ?"upgrade_rejected"/.test(text);
const opens = (text) => /"event": ?"open"/.test(text);

async function main(folder) {
  const { inputs } = JSON.parse(fs.readFileSync(path.join(folder, "EXPECTED.json"), "utf8"));
  const names = ["single", "split"].flatMap((generation) => {
    const inside = path.join(folder, generation);
    const files = fs.existsSync(inside) ? fs.readdirSync(inside) : [];
    return files.filter((file) => file.endsWith(".jsonl")).map((file) => `${generation}/${file}`);
  });
  let passed = 0;
  const failures = [];
  const worker = async () => {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      const file = path.join(folder, name);
      const expected = inputs[name] ?? [];
      const text = fs.readFileSync(file, "utf8");
      if (expected.length === 0 && (isRefusal(text) || !opens(text))) continue;
      try {
        for (const { input, got } of await replay(file, name.split("/")[0], expected)) {
          const found = differences(input, got);
          if (found.length === 0) passed += 1;
          else failures.push(`${name} ${input.client_message_ids}: ${found.join("; ")}`);
        }
      } catch (error) {
        failures.push(`${name}: cannot be replayed: ${error.message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  for (const failure of failures) console.log(failure);
  console.log(`${passed} passed, ${failures.length} failed`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

await main(process.argv[2] ?? "../protocol/traces");
