/**
 * Writes `ts/protocol.ts` from `protocol/catalog.json`, whose field types are TypeScript already.
 *
 *     node scripts/generate.mjs            writes the file
 *     node scripts/generate.mjs --check    fails when the file is out of date
 */

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const catalog = JSON.parse(fs.readFileSync(at("../../protocol/catalog.json"), "utf8"));

/** Where the established name of a type does not follow from its `type`. */
const NAMES = {
  control_request: "ControlRequestMessage",
  input_accepted: "InputAcceptedResponseMessage",
  update_device_status: "DeviceStatusUpdateMessage",
  update_loop_status: "LoopStatusUpdateMessage",
  update_queue: "QueueUpdateMessage",
  update_subagent_state: "SubagentStateUpdateMessage",
};

/** Bodies of the REST API whose few fields matter here (section 8.1); all others are `JsonObject`. */
const PRELUDE = `
/** JSON that this package passes on as it is. */
export type JsonObject = Record<string, unknown>;

/** A piece of text in a message (section 8.1). */
export interface TextContent {
  type: "text";
  text: string;
}

/** An image in a message (section 8.1). */
export interface ImageContent {
  type: "image";
  source:
    | { type: "base64"; media_type: string; data: string; detail?: string }
    | { type: "url"; url: string };
}

/** A message of an input (section 8.1). */
export interface MessageCreate {
  role: "user" | "system" | "assistant";
  content: string | (TextContent | ImageContent)[];
  name?: string | null;
  otid?: string | null;
  sender_id?: string | null;
}
`;
const KNOWN = new Set([
  ...Object.keys(catalog.types),
  ...[
    "JsonObject",
    "TextContent",
    "ImageContent",
    "MessageCreate",
    "StreamDelta",
    "Omit",
    "Record",
  ],
]);

const pascal = (name) => name.replace(/(^|_)([a-z0-9])/g, (_, __, letter) => letter.toUpperCase());
const nameOf = (message) =>
  NAMES[message.type] ??
  pascal(message.type) + (message.kind === "command" ? "Command" : "Message");

function typeOf(text) {
  if (/^\(.*(seen in|not in)/.test(text)) return "unknown";
  const bare = text.replace(/ \(see .*\)$/, "").replaceAll("map<", "Record<");
  // Only words outside of string literals are names of types.
  return bare
    .split(/("[^"]*")/)
    .map((part, index) =>
      index % 2 === 1
        ? part
        : part.replace(/\b[A-Z]\w*/g, (n) => (KNOWN.has(n) ? n : "JsonObject")),
    )
    .join("");
}

function fieldsOf(fields) {
  return Object.entries(fields).map(([name, field]) => {
    const only = field.generations
      ? `/** Only on ${field.generations.join(", ")} servers. */\n`
      : "";
    return `${only}${name}${field.required ? "" : "?"}: ${typeOf(field.type)};`;
  });
}

const interfaceOf = (comment, name, head, fields) =>
  `/** ${comment} */\nexport interface ${name} {\n${[...head, ...fieldsOf(fields)].join("\n")}\n}\n`;
const union = (comment, name, members) =>
  `/** ${comment} */\nexport type ${name} =\n${members.map((member) => `| ${member}`).join("\n")};\n`;

function remarks(message) {
  const { kind, response_type: response, response_to: command, note } = message;
  const what = {
    command: response ? `Command, answered by \`${response}\`` : "Command without a response",
    response: `Response to \`${command}\``,
    event: "Event",
  }[kind];
  return note ? `${what} (${note}).` : `${what}.`;
}

const { messages, types, stream_delta_message_types: deltas, enums } = catalog;
const parts = [
  "/** The wire types. @generated from protocol/catalog.json by scripts/generate.mjs; do not edit. */\n",
  PRELUDE,
];
for (const [name, values] of Object.entries(enums)) {
  if (!Object.hasOwn(types, name)) {
    const members = values.map((value) => JSON.stringify(value));
    parts.push(union(`The values of \`${name}\`.`, name, members));
  }
}
for (const [name, { fields }] of Object.entries(types)) {
  parts.push(interfaceOf(`\`${name}\` of the protocol.`, name, [], fields));
}
for (const [type, { fields }] of Object.entries(deltas)) {
  const rest = Object.fromEntries(
    Object.entries(fields).filter(([name]) => name !== "message_type"),
  );
  const comment = `A delta of \`${type}\` (section 11).`;
  parts.push(interfaceOf(comment, `${pascal(type)}Delta`, [`message_type: "${type}";`], rest));
}
const deltaNames = Object.keys(deltas).map((type) => `${pascal(type)}Delta`);
parts.push(union("What a `stream_delta` carries, by `message_type`.", "StreamDelta", deltaNames));
for (const message of messages) {
  const rest = Object.fromEntries(
    Object.entries(message.fields).filter(([name]) => name !== "type"),
  );
  parts.push(interfaceOf(remarks(message), nameOf(message), [`type: "${message.type}";`], rest));
}
const named = (test) => messages.filter(test).map(nameOf);
const commands = named((message) => message.kind === "command");
parts.push(union("Every known command.", "WsProtocolCommand", commands));
const received = named((message) => message.kind !== "command");
parts.push(union("Every known message of the server.", "WsProtocolMessage", received));

const target = at("../ts/protocol.ts");
const biome = at("../node_modules/.bin/biome");
const text = execFileSync(biome, ["format", `--stdin-file-path=${target}`], {
  input: parts.join("\n"),
  encoding: "utf8",
  cwd: at(".."),
});
if (!process.argv.includes("--check")) {
  fs.writeFileSync(target, text);
} else if (fs.readFileSync(target, "utf8") !== text) {
  console.error("ts/protocol.ts is out of date; run: node scripts/generate.mjs");
  process.exitCode = 1;
}
