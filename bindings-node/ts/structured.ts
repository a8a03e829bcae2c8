/** Turns whose result has a form that the program asks for (sections 8.1 and 14). */

import { checkedOptions, type NamesOf } from "./checks.js";
import type { AppServerClient } from "./client.js";
import { describe } from "./describe.js";
import {
  errorFromJson,
  InvalidCommand,
  InvalidOption,
  LettaAppError,
  StructuredOutputError,
  TurnAborted,
  translated,
} from "./errors.js";
import { jsonText } from "./json.js";
import { Lanes } from "./lanes.js";
import { Submission, submissionTool } from "./native.cjs";
import { checkedSignal, checkedTurnOptions, type RunTurnOptions, TURN_NAMES } from "./options.js";
import {
  checkedOutput,
  checkOutputOptions,
  OUTPUT_NAMES,
  type OutputOf,
  type OutputOptions,
  type OutputSchema,
  outputJsonSchema,
} from "./outputschema.js";
import { checkedPrompt } from "./prompts.js";
import type * as wire from "./protocol.js";
import type { TurnResult } from "./results.js";
import type { Prompt } from "./session.js";
import type { JsonSchema } from "./toolschema.js";
import type { AppServerExternalToolCallHandler } from "./types.js";
import { withBefore } from "./usage.js";

/** A prompt whose result has a certain form. Limits hold for each of its turns, of which there are two at most. */
export interface StructuredOptions<Schema extends OutputSchema = OutputSchema>
  extends Omit<RunTurnOptions, "check"> {
  /** What the result has to look like. */
  outputSchema: Schema;
  /** The JSON schema for the model, where the library of `outputSchema` does not write it. */
  outputJsonSchema?: JsonSchema | undefined;
}

/** What a turn came to, and the result that the agent handed in, as the schema makes it. */
export interface StructuredResult<Output> extends TurnResult {
  output: Output;
}

/** The conversation, as far as it is needed here. */
export interface Conversation {
  readonly client: AppServerClient;
  readonly runtime: wire.RuntimeScope;
  /** The groups of external tools that it has anyway. */
  readonly groups: readonly wire.RuntimeStartExternalToolsGroup[];
  /** What runs unasked in its turns, unless they say otherwise. */
  readonly allow: readonly string[];
  /** How often it was closed. */
  readonly closed: number;
  /** Sends a prompt; the tools of these scopes are there besides those of none. */
  ask(prompt: Prompt, settings: RunTurnOptions, scopes: string[]): PromiseLike<TurnResult>;
}

/** Two results of one conversation would be handed in through the same registration. */
const lanes = new WeakMap<AppServerClient, Lanes>();

const TOOL = submissionTool();

const RUN_NAMES: NamesOf<RunTurnOptions & OutputOptions> = { ...TURN_NAMES, ...OUTPUT_NAMES };

/**
 * Whether a turn is to have a result of a certain form.
 *
 * @throws {@link InvalidOption} for an option of `Session.run` that there is not.
 */
export function isStructured(
  options: RunTurnOptions | StructuredOptions,
): options is StructuredOptions {
  const output = checkedOptions(options, RUN_NAMES) as OutputOptions;
  checkOutputOptions(output);
  return output.outputSchema !== undefined;
}

/** See `Session.run`. */
export async function structured<Schema extends OutputSchema>(
  conversation: Conversation,
  prompt: Prompt,
  options: StructuredOptions<Schema>,
): Promise<StructuredResult<OutputOf<Schema>>> {
  const { outputSchema, outputJsonSchema: given, ...turns } = options;
  checkedTurnOptions(turns);
  if ((turns as RunTurnOptions).check === false) {
    const words = "cannot be turned off with outputSchema: such a turn has an output, or rejects";
    throw new InvalidOption(`check: ${words}`);
  }
  const schema = JSON.stringify(outputJsonSchema(outputSchema, given));
  checkedPrompt(prompt);
  const scope = conversation.client.nextRequestId(TOOL);
  const submission = translated(() => new Submission(schema, scope));
  const { client, runtime, closed, groups } = conversation;
  if (groups.some(({ tools }) => tools.some(({ name }) => name === TOOL))) {
    throw new InvalidOption(`outputSchema: the session already has a tool named ${TOOL}`);
  }
  const lane = lanes.get(client) ?? new Lanes();
  lanes.set(client, lane);
  const key = JSON.stringify([runtime.agent_id, runtime.conversation_id]);
  return lane.run(key, checkedSignal(turns.signal), async () => {
    stopIfClosed(conversation, closed);
    const work = new Structured(conversation, submission, outputSchema, closed);
    const result = await work.run(prompt, { ...turns, check: true });
    return result as StructuredResult<OutputOf<Schema>>;
  });
}

/** One result that is waited for. */
class Structured {
  readonly #conversation: Conversation;
  readonly #submission: Submission;
  readonly #schema: OutputSchema;
  readonly #closed: number;
  #output: unknown;
  /** What the schema's own code has thrown. */
  #failed: { cause: unknown } | undefined;

  constructor(
    conversation: Conversation,
    submission: Submission,
    schema: OutputSchema,
    closed: number,
  ) {
    this.#conversation = conversation;
    this.#submission = submission;
    this.#schema = schema;
    this.#closed = closed;
  }

  /** Offers the tool, asks, and takes the tool back, whatever becomes of it. */
  async run(prompt: Prompt, turns: RunTurnOptions): Promise<StructuredResult<unknown>> {
    // Before anything is sent: what cannot be asked is refused here.
    const text = jsonText(prompt ?? null, (path, words) => {
      return new InvalidCommand(`field \`payload.messages[0].content${path}\`: ${words}`);
    });
    const content: Prompt = JSON.parse(translated(() => this.#submission.content(text)));
    const { client, runtime } = this.#conversation;
    const { scope } = this.#submission;
    const names = [TOOL];
    const tools = [JSON.parse(this.#submission.tool())];
    const off = client.onExternalToolCall(this.#handler, { runtime, names });
    try {
      // In a scope: turns of others in this conversation do not see it.
      const own = { scope_id: scope, tools };
      await client.held.offer(runtime, scope, [own], { signal: turns.signal });
      const allow = [...(turns.allow ?? this.#conversation.allow), ...names];
      return await this.#ask(content, { ...turns, allow });
    } finally {
      off();
      client.held.takeBack(runtime, scope);
    }
  }

  async #ask(first: Prompt, settings: RunTurnOptions): Promise<StructuredResult<unknown>> {
    let content = first;
    let before: TurnResult | undefined;
    for (;;) {
      stopIfClosed(this.#conversation, this.#closed);
      const asked = this.#conversation.ask(content, settings, [this.#submission.scope]);
      const result = withBefore(await summedUp(asked, before), before);
      before = result;
      if (this.#failed !== undefined) {
        const words = `the output schema failed: ${describe(this.#failed.cause)}`;
        throw new StructuredOutputError(words, { result, ...this.#failed });
      }
      const calls = result.toolCalls.filter(
        ({ name, status }) => name === TOOL && status === "error",
      );
      const refused = calls.map(({ output }) => output ?? "");
      const { step, prompt: repair } = this.#submission.turnEnded(refused);
      if (step === "done") return { ...result, output: this.#output };
      if (result.status === "aborted") {
        throw new TurnAborted("the turn was stopped before a result was submitted", { result });
      }
      if (step !== "repair" || typeof repair !== "string") throw this.#error(result);
      content = repair;
    }
  }

  readonly #handler: AppServerExternalToolCallHandler = async ({ input, scope_id: scope }) => {
    const submission = this.#submission;
    const late = submission.late(typeof scope === "string" ? scope : undefined);
    if (typeof late === "string") return JSON.parse(late);
    return JSON.parse(submission.submitted(await this.#problems(JSON.stringify(input ?? {}))));
  };

  /** Takes the result of a call, or says what is wrong with it. */
  async #problems(given: string): Promise<string[]> {
    const { output, problems } = translated(() => this.#submission.output(given));
    if (typeof output !== "string") return problems;
    try {
      const checked = await checkedOutput(this.#schema, JSON.parse(output), problems);
      if ("value" in checked) this.#output = checked.value;
      return checked.problems;
    } catch (cause) {
      // The program's fault, which the agent cannot mend: this tool fails, as any other does.
      this.#failed ??= { cause };
      throw new Error("the program failed to check the result; do not submit it again", { cause });
    }
  }

  #error(result: TurnResult): StructuredOutputError {
    const { message, errors } = errorFromJson(this.#submission.error()) as StructuredOutputError;
    return new StructuredOutputError(message, { errors, result });
  }
}

/** The outcome of a turn, whose error has what the turn before it used as well. */
async function summedUp(
  asked: PromiseLike<TurnResult>,
  before: TurnResult | undefined,
): Promise<TurnResult> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof LettaAppError && error.result !== undefined) {
      Object.assign(error, { result: withBefore(error.result, before) });
    }
    throw error;
  }
}

function stopIfClosed(conversation: Conversation, closed: number): void {
  if (conversation.closed === closed) return;
  throw new TurnAborted("the session was closed before a result was submitted");
}
