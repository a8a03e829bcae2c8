/**
 * What the scripted model is asked to do: the directives in the user's text,
 * and which text of a request they are taken from.
 */

/**
 * @typedef {object} Script
 * @property {number} tokens text tokens of the answer
 * @property {number} sleepMs pause before each token
 * @property {number} reasoning reasoning tokens before anything else of the turn
 * @property {{name: string, arguments: string}[]} tools tool calls, arguments as JSON text
 * @property {boolean} parallel all tool calls in one run instead of one run each
 * @property {{status: number, times: number} | null} error HTTP error, `times` may be Infinity
 * @property {number | null} cut tokens after which the connection is cut
 * @property {boolean} cutOnce cut only the first time
 * @property {boolean} length end the text with finish_reason "length"
 * @property {boolean} hang never answer
 * @property {string | null} problem a directive that could not be understood
 */

/**
 * @typedef {object} Prompt
 * @property {string} text the text the directives are taken from
 * @property {string} conversation identifies the conversation the request belongs to
 * @property {string} key what ERR and CUTONCE are counted by: conversation and text. The place of the
 *   text in the conversation would not do, because a retry after a cut sends the text once more
 * @property {number} run how many tool-calling runs the turn already had
 */

/** @returns {Script} */
function defaultScript() {
  return {
    tokens: 2,
    sleepMs: 0,
    reasoning: 0,
    tools: [],
    parallel: false,
    error: null,
    cut: null,
    cutOnce: false,
    length: false,
    hang: false,
    problem: null,
  };
}

/** @param {string} value */
function count(value) {
  if (!/^\d{1,7}$/.test(value)) throw new Error("not a number");
  return Number(value);
}

/** @type {Record<string, (script: Script, value: string) => void>} */
const WITH_VALUE = {
  N: (script, value) => {
    script.tokens = count(value);
  },
  SLEEP: (script, value) => {
    script.sleepMs = count(value);
  },
  REASON: (script, value) => {
    script.reasoning = count(value);
  },
  CUT: (script, value) => {
    script.cut = count(value);
  },
  ERR: (script, value) => {
    const match = /^([45]\d\d)(?:x(\d+))?$/.exec(value);
    if (!match) throw new Error("not a status or STATUSxTIMES");
    script.error = {
      status: Number(match[1]),
      times: match[2] === undefined ? Infinity : count(match[2]),
    };
  },
  TOOL: (script, value) => {
    const bar = value.indexOf("|");
    const name = bar < 0 ? value : value.slice(0, bar);
    const json = bar < 0 ? "{}" : decodeURIComponent(value.slice(bar + 1));
    JSON.parse(json);
    script.tools.push({ name, arguments: json });
  },
};

/** @type {Record<string, (script: Script) => void>} */
const FLAGS = {
  PAR: (script) => {
    script.parallel = true;
  },
  CUTONCE: (script) => {
    script.cutOnce = true;
  },
  LENGTH: (script) => {
    script.length = true;
  },
  HANG: (script) => {
    script.hang = true;
  },
};

/** @param {string} word @returns {[name: string, value: string] | null} */
function splitDirective(word) {
  const equals = word.indexOf("=");
  if (equals < 0) return Object.hasOwn(FLAGS, word) ? [word, ""] : null;
  const name = word.slice(0, equals);
  return Object.hasOwn(WITH_VALUE, name) ? [name, word.slice(equals + 1)] : null;
}

/** @param {string} text */
function hasDirectives(text) {
  return text.split(/\s+/).some((word) => splitDirective(word) !== null);
}

/**
 * Directives are whole words separated by white space; everything else in the text is ignored.
 * A directive that cannot be read does not throw: the model answers with the problem as its text,
 * so that the author of a test sees it instead of minutes of retries.
 * @param {string} text
 * @returns {Script}
 */
export function parseScript(text) {
  const script = defaultScript();
  for (const word of text.split(/\s+/)) {
    const directive = splitDirective(word);
    if (!directive) continue;
    const [name, value] = directive;
    try {
      if (Object.hasOwn(FLAGS, name)) FLAGS[name](script);
      else WITH_VALUE[name](script, value);
    } catch (error) {
      script.problem ??= `${word} (${error instanceof Error ? error.message : error})`;
    }
  }
  return script;
}

/**
 * The texts of a message without what the App Server adds to it, which would otherwise be
 * free to contain words that look like directives.
 * @param {any} message
 * @returns {string[]}
 */
function ownTexts(message) {
  const parts =
    typeof message.content === "string"
      ? [{ type: "text", text: message.content }]
      : (message.content ?? []);
  return parts
    .filter((/** @type {any} */ part) => part?.type === "text" && typeof part.text === "string")
    .map((/** @type {any} */ part) =>
      part.text.replace(/<system-reminder>[\s\S]*?<\/system-reminder>/g, "").trim(),
    )
    .filter((/** @type {string} */ text) => text !== "");
}

/** @param {any} message */
function isOnlyReminders(message) {
  if (ownTexts(message).length > 0) return false;
  return (
    typeof message.content === "string" ||
    (message.content ?? []).every((/** @type {any} */ part) => part?.type === "text")
  );
}

/**
 * Conversations are told apart by the ids in the system prompt. Without them (another client of
 * the model) the first user message has to do.
 * @param {any[]} messages
 */
function conversationOf(messages) {
  const system = messages
    .filter((message) => message.role === "system" || message.role === "developer")
    .map((message) =>
      typeof message.content === "string" ? message.content : ownTexts(message).join("\n"),
    )
    .join("\n");
  const agent = /AGENT_ID: (\S+)/.exec(system)?.[1];
  const conversation = /CONVERSATION_ID: (\S+)/.exec(system)?.[1];
  if (agent || conversation) return `${agent ?? ""}/${conversation ?? ""}`;
  const first = messages.find((message) => message.role === "user");
  return JSON.stringify(first?.content ?? null);
}

/**
 * Finds the text that rules this request: the last message the user wrote, provided that the
 * model has not finished an answer since. Tool calls and their results do not finish an answer.
 * @param {any[]} messages
 * @returns {Prompt}
 */
export function readPrompt(messages) {
  const conversation = conversationOf(messages);
  let run = 0;
  for (let index = messages.length - 1; index >= 0; index--) {
    const message = messages[index];
    if (message.role === "assistant") {
      if (!message.tool_calls?.length) break;
      run++;
    } else if (message.role === "user" && !isOnlyReminders(message)) {
      const texts = ownTexts(message);
      const text = texts.findLast(hasDirectives) ?? texts.at(-1) ?? "";
      return { text, conversation, key: JSON.stringify([conversation, text]), run };
    }
  }
  return { text: "", conversation, key: JSON.stringify([conversation, ""]), run };
}
