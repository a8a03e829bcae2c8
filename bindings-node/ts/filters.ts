/** Which frames somebody wants. */

import { checkedNames, checkedObject, type NamesOf } from "./checks.js";
import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { messageTypes } from "./native.cjs";
import type { MessageMap, RuntimeScope } from "./protocol.js";

/** The type of a message of the server that this version knows. */
export type MessageType = keyof MessageMap;

/** Which messages are wanted; all by default. */
export interface MessageFilter<TType extends string = string> {
  /** Only messages of these types; types that this version does not know may be among them. */
  types?: readonly TType[] | undefined;
  /** Only messages of this runtime. Those that name none, like most responses, do not pass. */
  runtime?: RuntimeScope | undefined;
}

/** The message of a type. */
export type MessageOf<TType extends string> = TType extends MessageType
  ? MessageMap[TType]
  : Record<string, unknown> & { type: TType };

/** The place of each known type in `messageTypes()`. */
const PLACES = new Map(messageTypes().map((type, place) => [type, place]));

/** The place of a type in `messageTypes()`; -1 for one that is not known. */
export const placeOf = (type: string): number => PLACES.get(type) ?? -1;

/** All parts of a filter. */
export const FILTER_NAMES: NamesOf<MessageFilter> = { types: "types", runtime: "runtime" };

/** Judges frames: by their type without parsing them, then by their runtime. */
export class Filter {
  readonly #types: ReadonlySet<string> | undefined;
  readonly #places: ReadonlySet<number> | undefined;
  readonly #runtime: RuntimeScope | undefined;

  /** @throws {@link InvalidOption} names the part that cannot be used. */
  constructor(filter: MessageFilter) {
    const { types, runtime } = checkedNames(checkedObject("filter", filter), FILTER_NAMES);
    if (types !== undefined) {
      const isList = Array.isArray(types) && types.every((type) => typeof type === "string");
      if (!isList)
        throw new InvalidOption(`types: expected a list of types, got ${describe(types)}`);
      this.#types = new Set(types);
      this.#places = new Set(types.map(placeOf));
    }
    if (runtime !== undefined) {
      const ids = [runtime?.agent_id, runtime?.conversation_id];
      if (ids.some((id) => typeof id !== "string")) {
        throw new InvalidOption(
          "runtime: expected an object with `agent_id` and `conversation_id`",
        );
      }
      this.#runtime = runtime;
    }
  }

  /** Whether a frame is worth parsing, by the place of its type. */
  mayPass(place: number): boolean {
    return this.#places?.has(place) ?? true;
  }

  /** Whether a frame passes. */
  passes(message: { type: string; runtime?: unknown }): boolean {
    if (this.#types && !this.#types.has(message.type)) return false;
    if (!this.#runtime) return true;
    const { agent_id, conversation_id } = (message.runtime ?? {}) as Partial<RuntimeScope>;
    return agent_id === this.#runtime.agent_id && conversation_id === this.#runtime.conversation_id;
  }
}
