/** The families of commands as parts of the client. */

import { Agents } from "./agents.js";
import { Conversations } from "./conversations.js";
import { Cron } from "./cron.js";
import {
  ChannelsFamily,
  GitFamily,
  MemoryFamily,
  ModelsFamily,
  ProvidersFamily,
  RuntimesFamily,
  SecretsFamily,
  ServerFamily,
  SettingsFamily,
  SkillsFamily,
  TeleportFamily,
} from "./families.js";
import type { Caller } from "./family.js";
import { Files } from "./files.js";
import { Terminals } from "./terminal.js";

/** A client's families of commands (section 20). */
export abstract class ClientBase {
  /** @internal */
  protected abstract readonly caller: Caller;
  /** One for all, because it is there only when they are asked for it. */
  readonly #caller = () => this.caller;
  /** Agents: list, create, change, delete. */
  readonly agents = new Agents(this.#caller);
  /** External messengers; they need the server's channel gateway. */
  readonly channels = new ChannelsFamily(this.#caller);
  /** Conversations and their stored messages. */
  readonly conversations = new Conversations(this.#caller);
  /** Scheduled prompts and their runs. */
  readonly cron = new Cron(this.#caller);
  /** Files on the server: read, write, search, watch. */
  readonly files = new Files(this.#caller);
  /** Branches of a repository on the server. */
  readonly git = new GitFamily(this.#caller);
  /** The memory files of an agent, and their history. */
  readonly memory = new MemoryFamily(this.#caller);
  /** Models and toolsets. */
  readonly models = new ModelsFamily(this.#caller);
  /** Providers of models. */
  readonly providers = new ProvidersFamily(this.#caller);
  /** Runtimes and inputs, command by command; `runTurn` and `sendTurn` follow whole turns. */
  readonly runtimes = new RuntimesFamily(this.#caller);
  /** Secrets of an agent; their values are plain text in responses. */
  readonly secrets = new SecretsFamily(this.#caller);
  /** The server itself. */
  readonly server = new ServerFamily(this.#caller);
  /** Settings of the server. */
  readonly settings = new SettingsFamily(this.#caller);
  /** Skills. */
  readonly skills = new SkillsFamily(this.#caller);
  /** Moves conversations between machines. */
  readonly teleport = new TeleportFamily(this.#caller);
  /** Terminals on the server. */
  readonly terminals = new Terminals(this.#caller);
}
