/** Every command of the catalog through its method. */

import {
  type AppServerClient,
  InvalidCommand,
  rawText,
  UnsupportedByServer,
} from "@letta/app-client-native";
import type { MockServer } from "@letta/app-client-native/testing";
import { describe, expect, it } from "vitest";
import { commands, type Message, received, samples } from "./catalog.js";
import { connected, rejection, startMock, thrown } from "./helpers.js";
import { linesOf, traceFiles } from "./playback.js";

type Method = (command: object) => Promise<{ type: string }> | undefined;

const camel = (name: string) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

/** The method of a command, as a program without types sees it. */
function methodOf(client: AppServerClient, { group, method }: Message): Method {
  const family = (client as unknown as Record<string, Record<string, Method>>)[group];
  const found = family?.[camel(method)];
  if (!found) throw new Error(`client.${group}.${camel(method)} is missing`);
  return (command) => found.call(family, command);
}

/** What the catalog cannot say: commands that want one of several fields, and fields that exclude others. */
const WANTED: Record<string, object> = {
  runtime_start: { agent_id: "agent-1" },
  external_tool_call_response: { error: "no" },
};
const EXCLUDED: Record<string, string[]> = {
  runtime_start: ["create_agent", "create_conversation"],
  external_tool_call_response: ["result"],
};

function fieldsOf(command: Message, optional: boolean): Record<string, unknown> {
  const fields = { ...samples(command.fields, optional), ...WANTED[command.type] };
  for (const name of optional ? (EXCLUDED[command.type] ?? []) : []) {
    delete (fields as Record<string, unknown>)[name];
  }
  return fields;
}

/** A server that answers everything with what the catalog demands. */
async function answering(): Promise<MockServer> {
  const answers = commands.flatMap(({ type, response_type: response }) => {
    if (response === null) return [];
    const { success: _, ...fields } = samples(received(response).fields, false);
    return [[type, fields]];
  });
  return startMock({ answers: Object.fromEntries(answers) });
}

/** Answers that are matched by another field than the id of the request. */
function answerByHand(mock: MockServer, command: Message, fields: Record<string, unknown>): void {
  const { response_type: type } = command;
  const isByHand = ["terminal_spawn", "teleport_request"].includes(command.type);
  if (isByHand && type !== null)
    mock.push({ ...samples(received(type).fields, true), ...fields, type });
}

describe("every command is sent as the catalog has it, and resolves with its answer", () => {
  it.each(commands.map((command) => [command.type, command] as const))("%s", async (_, command) => {
    const mock = await answering();
    const client = await connected(mock);
    for (const [at, optional] of [false, true].entries()) {
      const fields = fieldsOf(command, optional);
      const answer = methodOf(client, command)(fields);
      expect(await mock.waitReceived(command.type, at + 1)).toBe(true);
      const frame = mock.receivedOf(command.type)[at];
      const asks = command.response_type !== null;
      const withId =
        command.request_id === "required" || (command.request_id === "optional" && asks);
      const id = withId ? { request_id: expect.stringMatching(/./) } : {};
      expect(frame).toEqual({ ...JSON.parse(JSON.stringify(fields)), type: command.type, ...id });
      if (!asks) {
        expect(answer).toBeUndefined();
        continue;
      }
      answerByHand(mock, command, fields);
      const response = await answer;
      expect(response?.type).toBe(command.response_type);
      expect(JSON.parse(rawText(response ?? {}) ?? "")).toEqual(response);
      if (withId && command.type !== "teleport_request") {
        expect(response).toMatchObject({ request_id: frame?.request_id });
      }
    }
  });

  it("and there are 96 of them", () => {
    expect(commands).toHaveLength(96);
  });
});

/** Whether a message is about this field, or something inside it. */
const naming = (name: string) => new RegExp(`\`${name}[\`.[]`);

/** What a method throws or rejects with; `undefined` when it does neither at once. */
async function refusal(call: () => unknown): Promise<unknown> {
  try {
    const result = call();
    if (!(result instanceof Promise)) return undefined;
    // A refusal is there before anything could come from the server.
    return await Promise.race([result, new Promise((resolve) => setImmediate(resolve))]).then(
      () => undefined,
    );
  } catch (error) {
    return error;
  }
}

it("a missing or wrongly typed field of any command is refused by name", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  let [missing, wrong] = [0, 0];
  for (const command of commands) {
    const method = methodOf(client, command);
    for (const [name, field] of Object.entries(command.fields)) {
      if (name === "type" || name === "request_id") continue;
      const { [name]: _, ...others } = fieldsOf(command, false);
      const what = `${command.type} ${name}`;
      if (field.required) {
        const error = await refusal(() => method(others));
        expect(error, what).toBeInstanceOf(InvalidCommand);
        expect((error as Error).message, what).toMatch(naming(name));
        missing += 1;
      }
      const error = await refusal(() => method({ ...others, [name]: [[["of another type"]]] }));
      expect(error, what).toBeInstanceOf(InvalidCommand);
      expect((error as Error).message, what).toMatch(naming(name));
      wrong += 1;
    }
  }
  expect(missing).toBeGreaterThan(100);
  expect(wrong).toBeGreaterThan(missing);
  expect(mock.received).toEqual([]);
});

it("a command that the server is too old for is refused", async () => {
  const mock = await startMock({ generation: "split", turnEvents: false, correlation: false });
  const client = await connected(mock);
  const runtime = { agent_id: "a", conversation_id: "c" };
  const error = await rejection(client.teleport.probe({ runtime }));
  expect(error).toBeInstanceOf(UnsupportedByServer);
  const failed = { teleport_id: "t", runtime, error: "no" };
  expect(thrown(() => client.teleport.failed(failed))).toBeInstanceOf(UnsupportedByServer);
  expect(mock.received).toEqual([]);
});

/** Recordings that send bad frames on purpose. */
const ON_PURPOSE =
  /invalid_frames|malformed|external_tools_update|change_device_state|runtime_start_variants|mode_strict|wrong_runtime|settings/;

it("every command of the recordings is sent again by its method", async () => {
  const mock = await startMock([{ text: "" }]);
  const client = await connected(mock, { requestTimeoutMs: Number.POSITIVE_INFINITY });
  const sent = new Map<string, { type: string; request_id?: string }>();
  for (const path of traceFiles().filter(({ pathname }) => !ON_PURPOSE.test(pathname))) {
    for (const { dir, frame } of linesOf(path)) {
      if (dir !== "send" || typeof frame?.type !== "string") continue;
      const { request_id: _, ...fields } = frame;
      sent.set(JSON.stringify(fields), frame);
    }
  }
  const wanted = new Map<string, object[]>();
  let number = 0;
  for (const frame of sent.values()) {
    const command = commands.find(({ type }) => type === frame.type);
    if (!command) throw new Error(`${frame.type} is not in the catalog`);
    const { type, ...fields } = frame;
    number += 1;
    // Each id once; where the recording has none, and the method waits for an answer, it adds one.
    const asks = command.response_type !== null;
    const hasId = frame.request_id !== undefined || (asks && command.request_id !== "none");
    const id = hasId ? { request_id: `recorded-${number}` } : {};
    void methodOf(client, command)({ ...fields, ...id })?.catch(() => {});
    const frames = wanted.get(type) ?? [];
    wanted.set(type, [...frames, { ...frame, ...id }]);
  }
  for (const [type, frames] of wanted) {
    expect(await mock.waitReceived(type, frames.length), type).toBe(true);
    const got = mock.receivedOf(type);
    const byText = (a: unknown, b: unknown) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
    const sorted = (list: object[]) =>
      list.map((it) => Object.fromEntries(Object.entries(it).sort()));
    expect(sorted(got).sort(byText), type).toEqual(sorted(frames).sort(byText));
  }
  expect(wanted.size).toBeGreaterThan(55);
});
