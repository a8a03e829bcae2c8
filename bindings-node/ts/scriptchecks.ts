/** Whether scripts of the server double can be played: what is wrong in one is named as the program has written it. */

import { checkedNames, checkedObject, checkedOptions, show } from "./checks.js";
import { InvalidOption } from "./errors.js";
import type { ScriptedCall, ScriptedTurn, ScriptOptions, SlowReaderLimits } from "./testing.js";

/** What a field may be, in words, and whether a value is that. */
type Kind = readonly [words: string, fits: (value: unknown) => boolean];

/** One for each field, none of which is forgotten. */
type Kinds<Fields> = { readonly [Name in keyof Fields]-?: Kind };

const isText = (value: unknown) => typeof value === "string";
const isWhole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isFlag = (value: unknown) => typeof value === "boolean";
const isObject = (value: unknown) =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isListOf = (fits: (value: unknown) => boolean) => (value: unknown) =>
  Array.isArray(value) && value.every(fits);

const TEXT: Kind = ["a string", isText];
const TEXTS: Kind = ["a list of strings", isListOf(isText)];
const PIECES: Kind = [
  "a string or a list of strings",
  (value) => isText(value) || isListOf(isText)(value),
];
const FLAG: Kind = ["true or false", isFlag];
const WHOLE: Kind = ["a whole number, 0 or more", isWhole];
const WHOLES: Kind = ["a list of whole numbers", isListOf(isWhole)];
const MILLISECONDS: Kind = ["a whole number of milliseconds", isWhole];
const OBJECT: Kind = ["an object", isObject];
const LIST: Kind = ["a list", Array.isArray];
const ANYTHING: Kind = ["a value", () => true];

const TURN: Kinds<ScriptedTurn> = {
  text: PIECES,
  reasoning: PIECES,
  delayMs: MILLISECONDS,
  spreadMs: MILLISECONDS,
  toolCalls: LIST,
  usage: [
    "a list of two whole numbers, the tokens of prompt and completion",
    (value) => isListOf(isWhole)(value) && (value as unknown[]).length === 2,
  ],
  stopReason: TEXT,
  error: TEXT,
  hang: FLAG,
  disconnectAfter: WHOLE,
  loseInput: FLAG,
  retries: WHOLE,
  cuts: WHOLES,
};

const CALL: Kinds<ScriptedCall> = {
  name: TEXT,
  input: ANYTHING,
  needsApproval: FLAG,
  result: TEXT,
};

const LIMITS: Kinds<SlowReaderLimits> = {
  pauseBytes: WHOLE,
  maxQueuedFrames: WHOLE,
  maxUnsentBytes: WHOLE,
  pongTimeoutMs: MILLISECONDS,
};

const SCRIPT: Kinds<ScriptOptions> = {
  generation: ['"single" or "split"', (value) => value === "single" || value === "split"],
  token: TEXT,
  turns: LIST,
  pingIntervalMs: MILLISECONDS,
  slowReaderLimits: ["true, false or an object", (value) => isFlag(value) || isObject(value)],
  turnEvents: FLAG,
  correlation: FLAG,
  directories: TEXTS,
  models: TEXTS,
  files: FLAG,
  answers: OBJECT,
};

/**
 * The options of a scripted server.
 *
 * @throws {@link InvalidOption} names the field.
 */
export function checkedScript(options: ScriptOptions): ScriptOptions {
  checkedOptions(options, SCRIPT);
  checkFields(options, SCRIPT, "");
  for (const [index, turn] of (options.turns ?? []).entries()) {
    checkedTurn(turn, `turns[${index}]`);
  }
  const { slowReaderLimits: limits } = options;
  if (typeof limits === "object" && limits !== null) {
    checkFields(checkedNames(limits, LIMITS, "slowReaderLimits."), LIMITS, "slowReaderLimits.");
  }
  return options;
}

/** What is in a turn, with no other names than those that there are: a slip in one would test something else. */
export function checkedTurn(turn: ScriptedTurn, name = "turn"): ScriptedTurn {
  checkFields(checkedNames(checkedObject(name, turn), TURN, `${name}.`), TURN, `${name}.`);
  for (const [index, call] of (turn.toolCalls ?? []).entries()) {
    const at = `${name}.toolCalls[${index}]`;
    checkFields(checkedNames(checkedObject(at, call), CALL, `${at}.`), CALL, `${at}.`);
    if (!isText(call.name)) throw wrong(`${at}.name`, TEXT, call.name);
  }
  return turn;
}

/** What is left out may be `undefined` or `null`. */
function checkFields<Fields extends object>(
  fields: Fields,
  kinds: Kinds<Fields>,
  prefix: string,
): void {
  for (const name of Object.keys(kinds) as (keyof Fields & string)[]) {
    const value: unknown = fields[name];
    if (value === undefined || value === null) continue;
    if (!kinds[name][1](value)) throw wrong(prefix + name, kinds[name], value);
  }
}

function wrong(name: string, [words]: Kind, value: unknown): InvalidOption {
  // What was meant as a token may be one.
  const got = name === "token" ? typeof value : show(value);
  return new InvalidOption(`${name}: expected ${words}, got ${got}`);
}
