/**
 * Client for the Letta Code App Server.
 *
 * ```ts
 * import { connect } from "@letta/app-client-native";
 *
 * await using client = await connect("ws://127.0.0.1:4500");
 * const { runtime } = await client.runtimeStart({ agent_id: "agent-123", mode: "standard" });
 * const result = await client.runTurn({
 *   runtime,
 *   payload: { kind: "create_message", messages: [{ role: "user", content: "Hi" }] },
 * });
 * console.log(result.text);
 * ```
 *
 * Section numbers in these pages are those of the protocol reference.
 *
 * @packageDocumentation
 */

export type { Agents } from "./agents.js";
export {
  type AllowOptions,
  type ApprovalHandler,
  type ApprovalRequest,
  allow,
  type Decision,
  deny,
  type Question,
} from "./approvals.js";
export { type AuditEntry, type AuditedHandler, type AuditOptions, audit } from "./audit.js";
export type { BacklogOptions, Overflow } from "./backlog.js";
export type { Batch, BatchItem, BatchProgress } from "./batch.js";
export { AppServerClient } from "./client.js";
export { type ConnectSettings, connect, createAppServerClient } from "./connect.js";
export type { Conversations, StoredMessagesOptions } from "./conversations.js";
export type { Cron } from "./cron.js";
export {
  AbortError,
  type AnyLettaAppError,
  ApprovalRequired,
  AuthError,
  ClientClosed,
  ConnectionFailed,
  Disconnected,
  ERROR_CLASSES,
  type ErrorCode,
  type ErrorDetails,
  ForkedProcess,
  InternalError,
  InvalidCommand,
  InvalidOption,
  isLettaAppError,
  Lagged,
  LettaAppError,
  MessageTooLarge,
  ProtocolMismatch,
  RequestError,
  RequestTimeout,
  ServerStartError,
  StructuredOutputError,
  TooManyRequests,
  TurnAborted,
  TurnError,
  TurnFailed,
  TurnIdleTimeout,
  TurnInterrupted,
  TurnTimeout,
  UnsupportedByServer,
} from "./errors.js";
export type * from "./events.js";
export type * from "./families.js";
export type { AnsweredType, CommandType, Family } from "./family.js";
export type { DirectoryEntry, FileChanges, Files } from "./files.js";
export type { MessageFilter, MessageOf, MessageType } from "./filters.js";
export { type GatherOptions, gather } from "./gather.js";
export { type MapOptions, map, type StructuredMapOptions } from "./map.js";
export { type AppServerChannel, isAppServerInfoResponseMessage, rawText } from "./messages.js";
export type { SessionOptions } from "./opening.js";
export type {
  Approvals,
  AppServerClientOptions,
  CallOptions,
  ReconnectOptions,
  RequestOptions,
  Resend,
  RunTurnOptions,
  TlsOptions,
  Transport,
} from "./options.js";
export type { OutputOf, OutputSchema } from "./outputschema.js";
export type { ListOptions, PageOptions } from "./pages.js";
export {
  type DenyScope,
  type Otherwise,
  type PolicyOptions,
  type PolicyRule,
  policy,
  type WideScope,
} from "./policy.js";
export type * from "./protocol.js";
export type { Reader } from "./reader.js";
export type { Reading } from "./reading.js";
export {
  type Recorded,
  type RecordOptions,
  type Redactor,
  Replay,
  type ReplayEvent,
  type ReplayOptions,
  replay,
} from "./recording.js";
export type {
  CompletedBy,
  InputDelivery,
  RunText,
  ToolCall,
  TurnMessage,
  TurnResult,
  TurnStatus,
  Usage,
} from "./results.js";
export type { RuleScope } from "./rules.js";
export type { HandlerOptions } from "./running.js";
export { AppServer, type ServerExit, type SpawnOptions, spawnAppServer } from "./server.js";
export { type Prompt, Session } from "./session.js";
export type {
  SchemaOutput,
  StandardJsonSchemaConverter,
  StandardSchemaIssue,
  StandardSchemaProps,
  StandardSchemaResult,
  StandardSchemaV1,
} from "./standardschema.js";
export type { MessageStream, MessagesOptions } from "./stream.js";
export type { StructuredOptions, StructuredResult } from "./structured.js";
export type { Terminal, TerminalOptions, Terminals } from "./terminal.js";
export { type Tool, type ToolArguments, type ToolContext, type ToolOptions, tool } from "./tool.js";
export type { JsonSchema, ToolParameters } from "./toolschema.js";
export { type ToolSet, type ToolSetOptions, toolSet } from "./toolset.js";
export type { Turn, TurnPhase } from "./turn.js";
export type { TurnEvents } from "./turniterator.js";
export type * from "./types.js";
export type { UIMessageChunk } from "./uimessages.js";
export { resolveAppServerChannelUrl, resolveAppServerUrl } from "./url.js";
