/** Agents on the server. */

import { AgentsFamily } from "./families.js";
import { behind, type ListOptions, listOptions, succeeded } from "./pages.js";
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
    const { limit, request, query: wanted } = listOptions(options);
    const fetch = async (query: JsonObject) =>
      succeeded(await this.list({ query: { ...wanted, ...query } }, request)).agents;
    yield* behind(fetch, limit);
  }
}
