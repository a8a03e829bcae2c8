/** The commands that the documented TypeScript client has as methods, with its names. */

import { ClientBase } from "./clientbase.js";
import { checkedCommand } from "./commands.js";
import type { CommandMap } from "./families.js";
import type { AnsweredType } from "./family.js";
import type { RequestOptions } from "./options.js";
import type * as wire from "./protocol.js";
import type * as types from "./types.js";

/** A client with the methods of the documented one. */
export abstract class DocumentedClient extends ClientBase {
  /** `app_server_info`: what the server is and can do (section 3). Servers before 0.30 stay silent. */
  info(options: RequestOptions = {}): Promise<wire.AppServerInfoResponseMessage> {
    return this.caller.ask("app_server_info", {}, options);
  }

  /**
   * `runtime_start`: opens an agent's conversation and subscribes to its events (section 8). Exactly
   * one of `agent_id` and `create_agent` is needed. Pass `mode`: a runtime that never had one runs
   * every tool without asking.
   */
  runtimeStart(
    command: types.Body<wire.RuntimeStartCommand>,
    options: RequestOptions = {},
  ): Promise<wire.RuntimeStartResponseMessage> {
    return this.caller.ask("runtime_start", command, options);
  }

  /** `runtime_external_tools_update`: replaces the external tools of runtimes (section 14). */
  async runtimeExternalToolsUpdate(
    command: types.Body<wire.RuntimeExternalToolsUpdateCommand>,
    options: RequestOptions = {},
  ): Promise<wire.RuntimeExternalToolsUpdateResponseMessage> {
    return this.#named("runtime-external-tools", "runtime_external_tools_update", command, options);
  }

  /** `sync`: has the runtime's state sent again, without history (section 16). */
  sync(
    command: types.Body<wire.SyncCommand>,
    options: RequestOptions = {},
  ): Promise<wire.SyncResponseMessage> {
    return this.caller.ask("sync", command, options);
  }

  /** `abort_message`: stops whatever runs in the conversation; its queue goes on (section 15). */
  async abort(
    command: types.Body<wire.AbortMessageCommand>,
    options: RequestOptions = {},
  ): Promise<wire.AbortMessageResponseMessage> {
    return this.#named("abort", "abort_message", command, options);
  }

  /** `conversation_list`: lists conversations. */
  conversationList(
    command: types.Body<wire.ConversationListCommand> = {},
    options: RequestOptions = {},
  ): Promise<wire.ConversationListResponseMessage> {
    return this.caller.ask("conversation_list", command, options);
  }

  /** `input` without an answer: a message for a turn, or the answer to an approval (sections 8.1, 13). */
  input(command: Omit<wire.InputCommand, "type">): void {
    this.caller.tell("input", command);
  }

  /**
   * `input`; resolves when the server has accepted or refused it, never at the turn's end. Servers up
   * to 0.29.6 do not answer inputs. The answer to an approval has no time limit by default, because
   * it may come only after the turn (section 13). One that is given up, or whose time is over, while it
   * still waits to be sent (`settlePauseMs`, or the word on the one before it) is not sent.
   */
  submitInput(
    command: types.Body<wire.InputCommand>,
    options: RequestOptions = {},
  ): Promise<wire.InputAcceptedResponseMessage> {
    return this.caller.ask("input", command, options);
  }

  /** A request whose id begins otherwise than with its type, as it does in the documented client. */
  async #named<TType extends AnsweredType>(
    prefix: string,
    type: TType,
    command: object,
    options: RequestOptions,
  ): Promise<CommandMap[TType]["response"]> {
    const request_id = this.caller.nextId(prefix);
    return this.caller.ask(type, { request_id, ...checkedCommand(command) }, options);
  }
}
