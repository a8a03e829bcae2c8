/** Just enough of a client to try the harness with: frames in, frames out, wait for one. */

import { once } from "node:events";
import { serverRequire } from "./setup.mjs";

/** The server brings this package along; Node 20 has no WebSocket of its own. */
const WebSocket = serverRequire("ws");

export class TestClient {
  /** Every frame received so far. @type {any[]} */
  frames = [];
  /** @type {Set<() => void>} */
  #listeners = new Set();
  #lastId = 0;

  /** @param {any} socket */
  constructor(socket) {
    this.socket = socket;
    /** @type {Error | null} */
    this.closed = null;
    socket.on("close", () => {
      this.closed = new Error("the connection closed");
      for (const listener of [...this.#listeners]) listener();
    });
    socket.on("message", (/** @type {Buffer} */ data) => {
      this.frames.push(JSON.parse(data.toString("utf8")));
      for (const listener of [...this.#listeners]) listener();
    });
  }

  /** @param {string} url @param {string} [token] */
  static async connect(url, token) {
    const socket = new WebSocket(`${url}/ws`, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });
    const client = new TestClient(socket);
    await once(socket, "open");
    return client;
  }

  /** @param {object} frame */
  send(frame) {
    this.socket.send(JSON.stringify(frame));
  }

  nextId() {
    return `id-${++this.#lastId}`;
  }

  /**
   * The first frame that matches, whether it has come already or not.
   * @param {(frame: any) => boolean} matches
   * @param {number} [from] index of the first frame to look at
   * @returns {Promise<any>}
   */
  waitFor(matches, from = 0) {
    return new Promise((resolve, reject) => {
      let next = from;
      const look = () => {
        for (; next < this.frames.length; next++) {
          if (!matches(this.frames[next])) continue;
          this.#listeners.delete(look);
          return resolve(this.frames[next]);
        }
        if (this.closed) reject(this.closed);
      };
      this.#listeners.add(look);
      look();
    });
  }

  /**
   * A new agent with a new conversation in which tools run without asking.
   * @param {{model: string, cwd: string}} info
   */
  async startRuntime({ model, cwd }) {
    const request_id = this.nextId();
    this.send({
      type: "runtime_start",
      request_id,
      create_agent: {
        body: { name: "live", memory_blocks: [], model },
        pin_global: false,
        memfs: false,
      },
      create_conversation: { body: {} },
      cwd,
      mode: "unrestricted",
      client_info: { name: "live-test", version: "0.0.0" },
    });
    const response = await this.waitFor((frame) => frame.request_id === request_id);
    if (!response.success) throw new Error(`runtime_start: ${response.error}`);
    return response.runtime;
  }

  /** @param {object} runtime @param {string} text */
  sendInput(runtime, text) {
    const request_id = this.nextId();
    const messages = [{ role: "user", content: text, client_message_id: `cm-${request_id}` }];
    this.send({
      type: "input",
      request_id,
      runtime,
      payload: { kind: "create_message", messages },
    });
  }

  /**
   * Sends a text and waits for the end of its turn.
   * @param {object} runtime
   * @param {string} text
   * @returns {Promise<{deltas: any[], finished: any}>}
   */
  async turn(runtime, text) {
    const from = this.frames.length;
    this.sendInput(runtime, text);
    const finished = await this.waitFor((frame) => frame.type === "turn_finished", from);
    const deltas = this.frames
      .slice(from)
      .filter((frame) => frame.type === "stream_delta")
      .map((frame) => frame.delta);
    return { deltas, finished };
  }

  close() {
    this.socket.close();
  }
}

/** @param {string} name @param {object} args */
export function toolDirective(name, args) {
  return `TOOL=${name}|${encodeURIComponent(JSON.stringify(args))}`;
}

/** @param {any[]} deltas */
export function assistantTexts(deltas) {
  return deltas
    .filter((delta) => delta.message_type === "assistant_message")
    .flatMap((delta) =>
      typeof delta.content === "string"
        ? [delta.content]
        : delta.content.map((/** @type {any} */ part) => part.text),
    );
}
