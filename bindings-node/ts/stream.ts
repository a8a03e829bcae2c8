/** Messages of the server for whoever reads them in a loop. */

import { Buffer } from "node:buffer";
import { type BacklogOptions, isKept } from "./backlog.js";
import type { NamesOf } from "./checks.js";
import type { Caller } from "./family.js";
import { FILTER_NAMES, type MessageFilter } from "./filters.js";
import { followed, type InboxOptions } from "./inbox.js";
import { rawText } from "./messages.js";
import { CALL_NAMES, type CallOptions } from "./options.js";
import { Reader } from "./reader.js";

/** What `messages` takes. */
export interface MessagesOptions<TType extends string = string>
  extends MessageFilter<TType>,
    BacklogOptions,
    CallOptions {}

/** All that `messages` takes. */
export const MESSAGES_NAMES: NamesOf<MessagesOptions> = {
  ...FILTER_NAMES,
  limit: "whole",
  maxBytes: "whole",
  overflow: "word",
  ...CALL_NAMES,
};

/** Messages of the server, as they come; see {@link Reader}. */
export class MessageStream<TMessage extends object> extends Reader<TMessage> {
  /** @internal */
  constructor(caller: Caller, { signal, limit, maxBytes, overflow, ...filter }: MessagesOptions) {
    const options: InboxOptions<TMessage> = {
      signal,
      limit,
      maxBytes,
      overflow,
      sizeOf: (message) => Buffer.byteLength(rawText(message) ?? ""),
      stays: (message) => isKept(String((message as { type?: unknown }).type)),
      dropping: () => {
        const text = "a reader of messages was too slow, and messages were dropped";
        process.emitWarning(text, { type: "AppClientLagWarning" });
      },
    };
    // The filter lets nothing else pass.
    super(
      followed(caller, filter, options, (message, inbox) =>
        inbox.push(message as unknown as TMessage),
      ),
    );
  }
}
