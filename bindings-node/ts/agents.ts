/** Agents on the server. */

import { checkedObject } from "./checks.js";
import { AgentsFamily } from "./families.js";
import { behind, type ListOptions, pageOptions, succeeded } from "./pages.js";
import type { JsonObject } from "./protocol.js";

/** The commands of the family `agents` (section 20), and the list of agents as a whole. */
export class Agents extends AgentsFamily {
  /**
   * All agents, newest first, as bodies of the REST API. Asks page by page with `agent_list`, when the
   * agents before were taken.
   *
   * Rejects with {@link RequestError} when the server refuses, and as every command of a family does.
   */
  async *all(options: ListOptions = {}): AsyncGenerator<JsonObject, void> {
    const { query: wanted, ...rest } = checkedObject("options", options);
    const { limit, request } = pageOptions(rest);
    const fetch = async (query: JsonObject) =>
      succeeded(await this.list({ query: { ...wanted, ...query } }, request)).agents;
    yield* behind(fetch, limit);
  }
}
