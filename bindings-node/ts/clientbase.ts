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
import type { Caller, Family } from "./family.js";
import { Files } from "./files.js";
import { Terminals } from "./terminal.js";

type Made<TFamily> = new (caller: () => Caller) => TFamily;

/** A client's families of commands (section 20). */
export abstract class ClientBase {
  /** @internal */
  protected abstract readonly caller: Caller;
  /** Those that were asked for: a client uses few of them. */
  #families: Map<Made<Family>, Family> | undefined;

  #family<TFamily extends Family>(kind: Made<TFamily>): TFamily {
    this.#families ??= new Map();
    const made = (this.#families.get(kind) as TFamily | undefined) ?? new kind(() => this.caller);
    this.#families.set(kind, made);
    return made;
  }

  /** Agents: list, create, change, delete. */
  get agents(): Agents {
    return this.#family(Agents);
  }

  /** External messengers; they need the server's channel gateway. */
  get channels(): ChannelsFamily {
    return this.#family(ChannelsFamily);
  }

  /** Conversations and their stored messages. */
  get conversations(): Conversations {
    return this.#family(Conversations);
  }

  /** Scheduled prompts and their runs. */
  get cron(): Cron {
    return this.#family(Cron);
  }

  /** Files on the server: read, write, search, watch. */
  get files(): Files {
    return this.#family(Files);
  }

  /** Branches of a repository on the server. */
  get git(): GitFamily {
    return this.#family(GitFamily);
  }

  /** The memory files of an agent, and their history. */
  get memory(): MemoryFamily {
    return this.#family(MemoryFamily);
  }

  /** Models and toolsets. */
  get models(): ModelsFamily {
    return this.#family(ModelsFamily);
  }

  /** Providers of models. */
  get providers(): ProvidersFamily {
    return this.#family(ProvidersFamily);
  }

  /** Runtimes and inputs, command by command; `runTurn` and `sendTurn` follow whole turns. */
  get runtimes(): RuntimesFamily {
    return this.#family(RuntimesFamily);
  }

  /** Secrets of an agent; their values are plain text in responses. */
  get secrets(): SecretsFamily {
    return this.#family(SecretsFamily);
  }

  /** The server itself. */
  get server(): ServerFamily {
    return this.#family(ServerFamily);
  }

  /** Settings of the server. */
  get settings(): SettingsFamily {
    return this.#family(SettingsFamily);
  }

  /** Skills. */
  get skills(): SkillsFamily {
    return this.#family(SkillsFamily);
  }

  /** Moves conversations between machines. */
  get teleport(): TeleportFamily {
    return this.#family(TeleportFamily);
  }

  /** Terminals on the server. */
  get terminals(): Terminals {
    return this.#family(Terminals);
  }
}
