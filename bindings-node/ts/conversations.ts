/** Conversations on the server. */

import type { NamesOf } from "./checks.js";
import { ConversationsFamily } from "./families.js";
import {
  behind,
  type ListOptions,
  listOptions,
  PAGE_NAMES,
  type PageOptions,
  pageOptions,
  succeeded,
} from "./pages.js";
import type { JsonObject } from "./protocol.js";

/** What `messages` of a conversation takes. */
export interface StoredMessagesOptions extends PageOptions {
  /** Only messages that are older than the one with this id. */
  before?: string | undefined;
  /** The agent, which the server needs for `default`: an agent's default conversation has no id of its own. */
  agentId?: string | undefined;
}

/** All that the messages of a conversation that is known take. */
export const STORED_NAMES: NamesOf<Omit<StoredMessagesOptions, "agentId">> = {
  before: "string",
  ...PAGE_NAMES,
};

const STORED_OF_ANY_NAMES: NamesOf<StoredMessagesOptions> = { ...STORED_NAMES, agentId: "string" };

/** The commands of the family `conversations` (section 20), and its lists as a whole. */
export class Conversations extends ConversationsFamily {
  /**
   * All conversations, newest first, as bodies of the REST API; those of one agent with
   * `{ query: { agent_id } }`. Asks page by page with `conversation_list`, when the conversations
   * before were taken.
   *
   * Rejects with {@link RequestError} when the server refuses, and as every command of a family does.
   */
  async *all(options: ListOptions = {}): AsyncGenerator<JsonObject, void> {
    const { limit, request, query: wanted } = listOptions(options);
    const fetch = async (query: JsonObject) =>
      succeeded(await this.list({ query: { ...wanted, ...query } }, request)).conversations;
    yield* behind(fetch, limit);
  }

  /**
   * The stored messages of a conversation, newest first, as bodies of the REST API (section 19). Asks
   * page by page with `conversation_messages_list`, when the messages before were taken.
   *
   * Rejects with {@link RequestError} when the server refuses, and as every command of a family does.
   */
  async *messages(
    conversationId: string,
    options: StoredMessagesOptions = {},
  ): AsyncGenerator<JsonObject, void> {
    const { limit, request } = pageOptions(options, STORED_OF_ANY_NAMES);
    const { before: start, agentId } = options;
    for (let before = start; ; ) {
      const query = {
        limit,
        order: "desc",
        ...(before === undefined ? {} : { before }),
        ...(agentId === undefined ? {} : { agent_id: agentId }),
      };
      const command = { conversation_id: conversationId, query };
      const page = succeeded(await this.listMessages(command, request));
      const oldest = page.messages.at(-1)?.id;
      // Servers with two sockets do not say whether there is more: a page that brings nothing new is
      // the end there.
      if (typeof oldest !== "string" || oldest === before) return;
      yield* page.messages;
      if (page.has_more === false) return;
      before = page.next_before ?? oldest;
    }
  }
}
