/** Lists that come in pages. */

import { checkedObject, checkedOptions, type NamesOf, show } from "./checks.js";
import { InvalidOption } from "./errors.js";
import { REQUEST_NAMES, type RequestOptions } from "./options.js";
import type { JsonObject } from "./protocol.js";
import { refused } from "./refused.js";

/** What lists that come in pages take. The other options count for each page. */
export interface PageOptions extends RequestOptions {
  /** How many items are asked for at once; 50 by default. */
  pageSize?: number | undefined;
}

/** What lists of the REST API take. */
export interface ListOptions extends PageOptions {
  /** What the items have to be like, as in the `query` of the command. */
  query?: JsonObject | undefined;
}

/** All that a list takes that has no more than pages. */
export const PAGE_NAMES: NamesOf<PageOptions> = { pageSize: "number", ...REQUEST_NAMES };

const LIST_NAMES: NamesOf<ListOptions> = { query: "object", ...PAGE_NAMES };

/** How a list is asked for, page by page. */
interface Paging {
  /** How many items a page has. */
  limit: number;
  /** The options of each request. */
  request: RequestOptions;
}

/** The options of a list that takes `known`. */
export function pageOptions(options: PageOptions, known: object = PAGE_NAMES): Paging {
  const { pageSize: limit = 50, signal, timeoutMs } = checkedOptions(options, known);
  if (!Number.isInteger(limit) || limit < 1) {
    throw new InvalidOption(`pageSize: expected a whole number above 0, got ${show(limit)}`);
  }
  return { limit, request: { signal, timeoutMs } };
}

/** The same for a list of the REST API, with its query. */
export function listOptions(options: ListOptions): Paging & { query: JsonObject } {
  const paging = pageOptions(options, LIST_NAMES);
  if (Array.isArray(options.query)) {
    throw new InvalidOption("query: expected an object, got a list");
  }
  return { ...paging, query: checkedObject("query", options.query ?? {}) };
}

/** The response, unless it says that the command failed: a list cannot show that in an item. */
export function succeeded<
  TResponse extends { type: string; success?: boolean; error?: string | undefined },
>(response: TResponse): TResponse {
  if (response.success !== false) return response;
  throw refused(response);
}

/** A REST list that is asked for what comes behind an id, until nothing new comes. */
export async function* behind(
  fetch: (query: { limit: number; after?: string }) => Promise<JsonObject[]>,
  limit: number,
): AsyncGenerator<JsonObject, void> {
  for (let after: string | undefined; ; ) {
    const page = await fetch({ limit, ...(after === undefined ? {} : { after }) });
    const last = page.at(-1)?.id;
    // A server that does not know `after` gives the same page again.
    if (typeof last !== "string" || last === after) return;
    yield* page;
    after = last;
  }
}
