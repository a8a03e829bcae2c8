/** How a conversation is started, checked before anything is sent. */

import { checkedObject, checkedOptions, type NamesOf } from "./checks.js";
import { absolute } from "./directory.js";
import { checkedTurnOptions, type RunTurnOptions, TURN_NAMES } from "./options.js";
import type * as wire from "./protocol.js";
import type { Tool } from "./tool.js";
import { type ToolSet, toolSet } from "./toolset.js";

/** The fields of `runtime_start`. */
export type StartFields = Omit<wire.RuntimeStartCommand, "type" | "request_id">;

/** Which conversation to start or join, and how. Exactly one of `agentId` and `createAgent` is needed. */
export interface SessionOptions extends RunTurnOptions {
  /** An existing agent. */
  agentId?: string | undefined;
  /** A new agent: `body` is the body of the REST API's `agents.create`. */
  createAgent?: wire.RuntimeStartCreateAgentOptions | undefined;
  /** An existing conversation; `default` is the agent's default one. Without it a new one is made. */
  conversationId?: string | undefined;
  /** The body of a new conversation. */
  createConversation?: wire.RuntimeStartCreateConversationOptions | undefined;
  /**
   * Which tools run without asking (section 8). By default the mode that the conversation has from another session
   * of this client, else `standard`: the server's own default runs everything.
   */
  mode?: wire.DevicePermissionMode | undefined;
  /**
   * The directory on the server's machine; a relative path is resolved against the current directory of this
   * process. See `cwdIgnored`.
   */
  cwd?: string | undefined;
  /**
   * Tools that the agent may call in this conversation. They come to those of other sessions of this client, of which
   * they replace what has the same name, until the session is closed, or nothing refers to it any more (those of the last
   * one stay registered, unanswered, as long as the connection lasts); turns of others need a permission for them. Without `onApproval` and
   * `approvals` they run unasked, and whatever else needs a permission is asked of the client's handlers
   * (`onApprovalRequest`), or denied where there are none.
   */
  tools?: readonly Tool[] | undefined;
  /** Further groups of external tools (section 14), which an `onExternalToolCall` handler answers. */
  externalTools?: readonly wire.RuntimeStartExternalToolsGroup[] | undefined;
  /** Who this program is. */
  clientInfo?: wire.RuntimeStartClientInfo | undefined;
  /**
   * Further fields of `runtime_start`, such as `skill_sources`. They override the other options, except that
   * groups of external tools are added to the ones given there.
   */
  fields?: Partial<StartFields> | undefined;
}

/** All that a session takes. */
export const SESSION_NAMES: NamesOf<SessionOptions> = {
  agentId: "string",
  createAgent: "body",
  conversationId: "string",
  createConversation: "body",
  mode: "word",
  cwd: "string",
  tools: "tools",
  externalTools: "groups",
  clientInfo: "object",
  fields: "object",
  ...TURN_NAMES,
};

/** What the copy of a conversation is started with as well. */
export type Kept = Pick<SessionOptions, "tools" | "externalTools" | "clientInfo" | "fields">;

/** What the options of a session come to. */
export interface Opening {
  readonly start: StartFields;
  /** How its turns are limited, and who is asked for permissions. */
  readonly turns: RunTurnOptions;
  /** Its tools. */
  readonly set: ToolSet;
  readonly given: Kept;
  readonly signal: AbortSignal | null | undefined;
}

/**
 * What a session starts with.
 *
 * @throws {@link InvalidOption} also for what its turns could not be sent with: they would be refused one by one.
 */
export function opening(options: SessionOptions): Opening {
  const {
    agentId,
    createAgent,
    conversationId,
    createConversation,
    mode,
    cwd,
    externalTools,
    tools = [],
    clientInfo,
    fields = {},
    signal,
    ...turns
  } = checkedOptions(options, SESSION_NAMES);
  checkedTurnOptions(turns);
  const set = toolSet(tools);
  const { cwd: directory = cwd, external_tools, ...further } = checkedObject("fields", fields);
  const groups = [...(externalTools ?? []), ...(external_tools ?? []), ...set.externalTools];
  const start: StartFields = {
    ...(agentId !== undefined && { agent_id: agentId }),
    ...(createAgent !== undefined && { create_agent: createAgent }),
    ...(conversationId !== undefined && { conversation_id: conversationId }),
    ...(createConversation !== undefined && { create_conversation: createConversation }),
    ...(directory !== undefined && { cwd: directory && absolute(directory) }),
    ...(groups.length > 0 && { external_tools: groups }),
    ...(clientInfo !== undefined && { client_info: clientInfo }),
    ...(mode !== undefined && { mode }),
    ...further,
  };
  const given = { tools, externalTools, clientInfo, fields: ofAnyConversation(fields) };
  return { start, turns, set, given, signal };
}

/** The fields that do not say which conversation it is, or how it stands. */
function ofAnyConversation(fields: Partial<StartFields>): Partial<StartFields> {
  const { agent_id, create_agent, conversation_id, create_conversation, cwd, mode, ...rest } =
    fields;
  return rest;
}
