/** The wire types. @generated from protocol/catalog.json by scripts/generate.mjs; do not edit. */

/** JSON that this package passes on as it is. */
export type JsonObject = Record<string, unknown>;

/** A piece of text in a message (section 8.1). */
export interface TextContent {
  type: "text";
  text: string;
}

/** An image in a message (section 8.1). */
export interface ImageContent {
  type: "image";
  source:
    | { type: "base64"; media_type: string; data: string; detail?: string }
    | { type: "url"; url: string };
}

/** A message of an input (section 8.1). */
export interface MessageCreate {
  role: "user" | "system" | "assistant";
  content: string | (TextContent | ImageContent)[];
  name?: string | null;
  otid?: string | null;
  sender_id?: string | null;
}

/** The values of `StopReasonType`. */
export type StopReasonType =
  | "end_turn"
  | "error"
  | "llm_api_error"
  | "invalid_llm_response"
  | "invalid_tool_call"
  | "max_steps"
  | "max_tokens_exceeded"
  | "no_tool_call"
  | "tool_rule"
  | "cancelled"
  | "insufficient_credits"
  | "requires_approval"
  | "context_window_overflow_in_system_prompt";

/** The values of `LoopStatus`. */
export type LoopStatus =
  | "SENDING_API_REQUEST"
  | "WAITING_FOR_API_RESPONSE"
  | "RETRYING_API_REQUEST"
  | "PROCESSING_API_RESPONSE"
  | "EXECUTING_CLIENT_SIDE_TOOL"
  | "EXECUTING_COMMAND"
  | "WAITING_ON_APPROVAL"
  | "WAITING_ON_INPUT";

/** The values of `DevicePermissionMode`. */
export type DevicePermissionMode = "standard" | "acceptEdits" | "unrestricted" | "strict";

/** The values of `ToolsetName`. */
export type ToolsetName = "codex" | "codex_snake" | "default" | "gemini" | "gemini_snake" | "none";

/** The values of `ToolsetPreference`. */
export type ToolsetPreference =
  | "codex"
  | "codex_snake"
  | "default"
  | "gemini"
  | "gemini_snake"
  | "none"
  | "auto";

/** The values of `QueueMessageKind`. */
export type QueueMessageKind =
  | "message"
  | "task_notification"
  | "cron_prompt"
  | "approval_result"
  | "overlay_action"
  | "mod_continue";

/** The values of `QueueMessageSource`. */
export type QueueMessageSource =
  | "task_notification"
  | "user"
  | "cron"
  | "subagent"
  | "system"
  | "channel";

/** The values of `CronTaskStatus`. */
export type CronTaskStatus = "cancelled" | "active" | "fired" | "missed";

/** The values of `CronCancelReason`. */
export type CronCancelReason = "conversation_not_found" | "expired";

/** The values of `CronRunOutcome`. */
export type CronRunOutcome = "queued" | "missed" | "failed" | "skipped";

/** The values of `CronRunReason`. */
export type CronRunReason =
  | "scheduled_time_matched"
  | "one_off_due"
  | "scheduler_inactive"
  | "started_too_late"
  | "queue_full"
  | "runtime_unavailable"
  | "task_cancelled"
  | "invalid_cron"
  | "scheduler_error";

/** The values of `CronRunLogStatus`. */
export type CronRunLogStatus = "error" | "skipped" | "ok";

/** The values of `ExperimentId`. */
export type ExperimentId =
  | "artifacts"
  | "conversation_titles"
  | "desktop_conversation_bootstrap"
  | "diffs"
  | "reflection_arena"
  | "tui_cron";

/** The values of `ExperimentSource`. */
export type ExperimentSource = "default" | "override" | "env";

/** The values of `ReflectionTriggerMode`. */
export type ReflectionTriggerMode = "off" | "step-count" | "compaction-event";

/** The values of `ReflectionMergeMode`. */
export type ReflectionMergeMode = "auto" | "explicit";

/** The values of `ReflectionSettingsScope`. */
export type ReflectionSettingsScope = "global" | "local_project" | "both";

/** The values of `DmPolicy`. */
export type DmPolicy = "pairing" | "allowlist" | "open";

/** `RuntimeScope` of the protocol. */
export interface RuntimeScope {
  agent_id: string;
  conversation_id: string;
  acting_user_id?: string;
}

/** `RuntimeEnvelope` of the protocol. */
export interface RuntimeEnvelope {
  runtime: RuntimeScope;
  event_seq: number;
  emitted_at: string;
  idempotency_key: string;
}

/** `DeviceStatus` of the protocol. */
export interface DeviceStatus {
  current_connection_id: null | string;
  connection_name: null | string;
  is_online: boolean;
  is_processing: boolean;
  current_permission_mode: "standard" | "acceptEdits" | "unrestricted" | "strict";
  current_working_directory: null | string;
  cwd_revision?: number;
  git_context: null | GitContext;
  letta_code_version: null | string;
  current_toolset: null | "codex" | "codex_snake" | "default" | "gemini" | "gemini_snake" | "none";
  current_toolset_preference:
    | "codex"
    | "codex_snake"
    | "default"
    | "gemini"
    | "gemini_snake"
    | "none"
    | "auto";
  current_loaded_tools: string[];
  current_available_skills: AvailableSkillSummary[];
  background_processes: (JsonObject | JsonObject | JsonObject)[];
  pending_control_requests: PendingControlRequest[];
  experiments: ExperimentSnapshot[];
  memory_directory: null | string;
  cwd_map?: Record<string, string>;
  boot_working_directory?: null | string;
  should_doctor?: boolean;
  reflection_settings: null | ReflectionSettingsSnapshot;
  supported_commands: string[];
  mod_commands?: ModCommandInfo[];
}

/** `LoopState` of the protocol. */
export interface LoopState {
  status:
    | "SENDING_API_REQUEST"
    | "WAITING_FOR_API_RESPONSE"
    | "RETRYING_API_REQUEST"
    | "PROCESSING_API_RESPONSE"
    | "EXECUTING_CLIENT_SIDE_TOOL"
    | "EXECUTING_COMMAND"
    | "WAITING_ON_APPROVAL"
    | "WAITING_ON_INPUT";
  active_run_ids: string[];
  client_message_ids_by_run_id?: Record<string, string[]>;
  executing_tool_call_ids: string[];
}

/** `QueueMessage` of the protocol. */
export interface QueueMessage {
  id: string;
  client_message_id: string;
  kind:
    | "message"
    | "task_notification"
    | "cron_prompt"
    | "approval_result"
    | "overlay_action"
    | "mod_continue";
  source: "task_notification" | "user" | "cron" | "subagent" | "system" | "channel";
  content:
    | string
    | (
        | TextContent
        | ImageContent
        | JsonObject
        | JsonObject
        | JsonObject
        | JsonObject
        | JsonObject
      )[];
  enqueued_at: string;
}

/** `QueueRemovalTransition` of the protocol. */
export interface QueueRemovalTransition {
  client_message_id: string;
  disposition: "cancelled" | "dequeued";
}

/** `PendingControlRequest` of the protocol. */
export interface PendingControlRequest {
  request_id: string;
  request: CanUseToolControlRequestBody;
}

/** `CanUseToolControlRequestBody` of the protocol. */
export interface CanUseToolControlRequestBody {
  subtype: "can_use_tool";
  tool_name: string;
  input: Record<string, unknown>;
  tool_call_id: string;
  permission_suggestions: PermissionSuggestion[];
  blocked_path: null | string;
  diffs?: DiffPreview[];
}

/** `PermissionSuggestion` of the protocol. */
export interface PermissionSuggestion {
  id: string;
  text: string;
}

/** `DiffPreview` of the protocol. */
export interface DiffPreview {
  mode: "advanced" | "fallback" | "unpreviewable";
  fileName: string;
  hunks?: DiffHunk[];
  reason?: string;
}

/** `DiffHunk` of the protocol. */
export interface DiffHunk {
  oldStart: number;
  oldLines: number;
  newStart: number;
  newLines: number;
  lines: DiffHunkLine[];
}

/** `DiffHunkLine` of the protocol. */
export interface DiffHunkLine {
  type: "context" | "add" | "remove";
  content: string;
}

/** `GitContext` of the protocol. */
export interface GitContext {
  branch: null | string;
  recent_branches: string[];
}

/** `AvailableSkillSummary` of the protocol. */
export interface AvailableSkillSummary {
  id: string;
  name: string;
  description: string;
  path: string;
  source: "bundled" | "global" | "agent" | "project";
}

/** `ReflectionSettingsSnapshot` of the protocol. */
export interface ReflectionSettingsSnapshot {
  agent_id: string;
  trigger: "off" | "step-count" | "compaction-event";
  step_count: number;
  /** Only on single servers. */
  merge: "auto" | "explicit";
  /** Only on single servers. */
  merge_instructions: string;
}

/** `ExperimentSnapshot` of the protocol. */
export interface ExperimentSnapshot {
  id:
    | "artifacts"
    | "conversation_titles"
    | "desktop_conversation_bootstrap"
    | "diffs"
    | "reflection_arena"
    | "tui_cron";
  label: string;
  description: string;
  envVar?: string;
  enabled: boolean;
  source: "default" | "override" | "env";
  override: boolean | null;
}

/** `ModCommandInfo` of the protocol. */
export interface ModCommandInfo {
  id: string;
  description: string;
  args?: string;
}

/** `BackgroundProcessSummary` of the protocol. */
export interface BackgroundProcessSummary {
  process_id: string;
  kind: "bash" | "agent_task" | "monitor";
  command?: string;
  started_at_ms: null | number | number;
  status: string | "running";
  exit_code?: null | number;
  task_type?: string;
  description?: string;
  subagent_id?: null | string;
  error?: string;
  source?: "command" | "websocket";
  persistent?: boolean;
}

/** `SubagentSnapshot` of the protocol. */
export interface SubagentSnapshot {
  subagent_id: string;
  subagent_type: string;
  description: string;
  prompt?: string;
  status: "error" | "running" | "pending" | "completed";
  agent_url: null | string;
  conversation_id?: null | string;
  model?: string;
  is_background?: boolean;
  silent?: boolean;
  tool_call_id?: string;
  parent_agent_id?: string;
  parent_conversation_id?: string;
  start_time: number;
  tool_calls: SubagentSnapshotToolCall[];
  total_tokens: number;
  duration_ms: number;
  error?: string;
}

/** `SubagentSnapshotToolCall` of the protocol. */
export interface SubagentSnapshotToolCall {
  id: string;
  name: string;
  args: string;
}

/** `ApprovalResponseDecision` of the protocol. */
export interface ApprovalResponseDecision {
  behavior: "allow" | "deny";
  message?: string;
  updated_input?: null | Record<string, unknown>;
  selected_permission_suggestion_ids?: string[];
}

/** `ApprovalResponseAllowDecision` of the protocol. */
export interface ApprovalResponseAllowDecision {
  behavior: "allow";
  message?: string;
  updated_input?: null | Record<string, unknown>;
  selected_permission_suggestion_ids?: string[];
}

/** `ApprovalResponseDenyDecision` of the protocol. */
export interface ApprovalResponseDenyDecision {
  behavior: "deny";
  message: string;
}

/** `ApprovalResponseBody` of the protocol. */
export interface ApprovalResponseBody {
  request_id: string;
  decision?: ApprovalResponseAllowDecision | ApprovalResponseDenyDecision;
  error?: string;
}

/** `InputPayload` of the protocol. */
export interface InputPayload {
  kind: "create_message" | "approval_response" | "teleport_continue";
  messages?: (MessageCreate & { client_message_id?: string | undefined })[];
  image_failure_mode?: "strict" | "drop";
  client_tool_allowlist?: string[];
  client_toolset?: ClientToolsetConfig;
  external_tool_scope_ids?: string[];
  exclude_interactive_tools?: boolean;
  request_id?: string;
  decision?: ApprovalResponseAllowDecision | ApprovalResponseDenyDecision;
  error?: string;
  teleport_id?: string;
  source?: { device_id: string; connection_name: string };
  continuation?: TeleportContinuation;
}

/** `InputCreateMessagePayload` of the protocol. */
export interface InputCreateMessagePayload {
  kind: "create_message";
  messages: (MessageCreate & { client_message_id?: string | undefined })[];
  image_failure_mode?: "strict" | "drop";
  client_tool_allowlist?: string[];
  client_toolset?: ClientToolsetConfig;
  external_tool_scope_ids?: string[];
  exclude_interactive_tools?: boolean;
}

/** `InputApprovalResponsePayload` of the protocol. */
export interface InputApprovalResponsePayload {
  kind: "approval_response";
  request_id: string;
  decision?: ApprovalResponseAllowDecision | ApprovalResponseDenyDecision;
  error?: string;
}

/** `ClientToolsetConfig` of the protocol. */
export interface ClientToolsetConfig {
  base?: "codex" | "codex_snake" | "default" | "gemini" | "gemini_snake" | "none" | "auto";
  include?: string[];
}

/** `ChangeDeviceStatePayload` of the protocol. */
export interface ChangeDeviceStatePayload {
  mode?: "standard" | "acceptEdits" | "unrestricted" | "strict";
  cwd?: string;
  agent_id?: null | string;
  conversation_id?: null | string;
}

/** `RuntimeStartCreateAgentOptions` of the protocol. */
export interface RuntimeStartCreateAgentOptions {
  body: JsonObject;
  pin_global?: boolean;
  memfs?: boolean;
}

/** `RuntimeStartCreateConversationOptions` of the protocol. */
export interface RuntimeStartCreateConversationOptions {
  body?: Omit<JsonObject, "agent_id">;
}

/** `RuntimeStartClientInfo` of the protocol. */
export interface RuntimeStartClientInfo {
  name: string;
  title?: string;
  version?: string;
}

/** `RuntimeStartExternalToolsGroup` of the protocol. */
export interface RuntimeStartExternalToolsGroup {
  scope_id?: string;
  tools: ExternalToolDefinitionPayload[];
}

/** `ExternalToolDefinitionPayload` of the protocol. */
export interface ExternalToolDefinitionPayload {
  name: string;
  label?: string;
  description: string;
  parameters: Record<string, unknown>;
}

/** `ExternalToolCallResult` of the protocol. */
export interface ExternalToolCallResult {
  content: ExternalToolCallResultContent[];
  is_error?: boolean;
}

/** `ExternalToolCallResultContent` of the protocol. */
export interface ExternalToolCallResultContent {
  type: string;
  text?: string;
  data?: string;
  mimeType?: string;
}

/** `RuntimeExternalToolsUpdateGroup` of the protocol. */
export interface RuntimeExternalToolsUpdateGroup {
  runtimes: RuntimeScope[];
  external_tools: RuntimeStartExternalToolsGroup[];
}

/** `SearchFilesEntry` of the protocol. */
export interface SearchFilesEntry {
  path: string;
  type: "file";
}

/** `GrepInFilesMatch` of the protocol. */
export interface GrepInFilesMatch {
  path: string;
  line: number;
  column: number;
  column_end: number;
  text: string;
  before?: string[];
  after?: string[];
}

/** `TreeEntry` of the protocol. */
export interface TreeEntry {
  path: string;
  type: "file" | "dir";
}

/** `MemoryFileEntry` of the protocol. */
export interface MemoryFileEntry {
  relative_path: string;
  is_system: boolean;
  description: null | string;
  content: string;
  size: number;
  references?: string[];
  kind?: "markdown" | "image";
  mime_type?: null | string;
}

/** `MemoryHistoryCommitEntry` of the protocol. */
export interface MemoryHistoryCommitEntry {
  sha: string;
  message: string;
  timestamp: string;
  author_name: null | string;
}

/** `ConnectProviderEntry` of the protocol. */
export interface ConnectProviderEntry {
  id: string;
  display_name: string;
  description: string;
  provider_type: string;
  provider_name: string;
  provider_names: string[];
  is_oauth?: boolean;
  oauth_provider_id?: string;
  requires_api_key: boolean;
  fields?: ConnectProviderField[];
  auth_methods?: ConnectProviderAuthMethod[];
  connected: ConnectProviderConnectionState;
  connected_providers: ConnectProviderConnectionState[];
}

/** `ConnectProviderField` of the protocol. */
export interface ConnectProviderField {
  key: string;
  label: string;
  placeholder?: string;
  secret?: boolean;
  required?: boolean;
}

/** `ConnectProviderAuthMethod` of the protocol. */
export interface ConnectProviderAuthMethod {
  id: string;
  label: string;
  description: string;
  fields: ConnectProviderField[];
}

/** `ConnectProviderConnectionState` of the protocol. */
export interface ConnectProviderConnectionState {
  is_connected: boolean;
  id?: string;
  provider_name?: string;
  provider_type?: string;
  auth_type?: "api" | "oauth";
  base_url?: string;
  timeout?: number | false;
  region?: string;
}

/** `ListModelsResponseModelEntry` of the protocol. */
export interface ListModelsResponseModelEntry {
  id: string;
  handle: string;
  label: string;
  description: string;
  isDefault?: boolean;
  isFeatured?: boolean;
  free?: boolean;
  updateArgs?: Record<string, unknown>;
}

/** `UpdateModelPayload` of the protocol. */
export interface UpdateModelPayload {
  model_id?: string;
  model_handle?: string;
  reasoning_effort?: null | "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max";
}

/** `CronTask` of the protocol. */
export interface CronTask {
  id: string;
  agent_id: string;
  conversation_id: string;
  name: string;
  description: string;
  cron: string;
  timezone: string;
  recurring: boolean;
  prompt: string;
  status: "cancelled" | "active" | "fired" | "missed";
  created_at: string;
  expires_at: null | string;
  last_fired_at: null | string;
  fire_count: number;
  cancel_reason: null | "conversation_not_found" | "expired";
  jitter_offset_ms: number;
  last_run_at: null | string;
  last_run_outcome: null | "queued" | "missed" | "failed" | "skipped";
  last_run_reason:
    | null
    | "scheduled_time_matched"
    | "one_off_due"
    | "scheduler_inactive"
    | "started_too_late"
    | "queue_full"
    | "runtime_unavailable"
    | "task_cancelled"
    | "invalid_cron"
    | "scheduler_error";
  last_run_error: null | string;
  last_missed_at: null | string;
  missed_count: number;
  failed_count: number;
  scheduled_for: null | string;
  fired_at: null | string;
  missed_at: null | string;
}

/** `CronRunLogPage` of the protocol. */
export interface CronRunLogPage {
  entries: CronRunLogEntry[];
  total: number;
  offset: number;
  limit: number;
  hasMore: boolean;
  nextOffset: null | number;
}

/** `CronRunLogEntry` of the protocol. */
export interface CronRunLogEntry {
  ts: number;
  jobId: string;
  action: "finished";
  status?: "error" | "skipped" | "ok";
  outcome?: "queued" | "missed" | "failed" | "skipped";
  reason?:
    | "scheduled_time_matched"
    | "one_off_due"
    | "scheduler_inactive"
    | "started_too_late"
    | "queue_full"
    | "runtime_unavailable"
    | "task_cancelled"
    | "invalid_cron"
    | "scheduler_error";
  error?: string;
  summary?: string;
  agentId?: string;
  conversationId?: string;
  runId?: string;
  runAtMs?: number;
  queueItemId?: string;
  scheduledFor?: null | string;
  firedAt?: string;
}

/** `ConversationForkBody` of the protocol. */
export interface ConversationForkBody {
  agent_id?: null | string;
  hidden?: boolean;
  message_id?: string;
}

/** `ForkedConversationReference` of the protocol. */
export interface ForkedConversationReference {
  id: string;
}

/** `GitBranchInfo` of the protocol. */
export interface GitBranchInfo {
  name: string;
  is_current: boolean;
  is_remote: boolean;
}

/** `ChannelSummary` of the protocol. */
export interface ChannelSummary {
  channel_id: string;
  display_name: string;
  configured: boolean;
  enabled: boolean;
  running: boolean;
  dm_policy: null | "pairing" | "allowlist" | "open";
  pending_pairings_count: number;
  approved_users_count: number;
  routes_count: number;
  config_schema: null | JsonObject;
}

/** `ChannelConfigSnapshot` of the protocol. */
export interface ChannelConfigSnapshot {
  channel_id: string;
  account_id: string;
  display_name?: string;
  enabled: boolean;
  dm_policy: "pairing" | "allowlist" | "open";
  allowed_users: string[];
  config: JsonObject;
}

/** `ChannelAccountSnapshot` of the protocol. */
export interface ChannelAccountSnapshot {
  channel_id: string;
  account_id: string;
  display_name?: string;
  enabled: boolean;
  configured: boolean;
  running: boolean;
  dm_policy: "pairing" | "allowlist" | "open";
  allowed_users: string[];
  config: JsonObject;
  created_at: string;
  updated_at: string;
}

/** `ChannelPendingPairing` of the protocol. */
export interface ChannelPendingPairing {
  account_id: string;
  code: string;
  sender_id: string;
  sender_name?: string;
  chat_id: string;
  created_at: string;
  expires_at: string;
}

/** `ChannelRouteSnapshot` of the protocol. */
export interface ChannelRouteSnapshot {
  channel_id: string;
  account_id: string;
  chat_id: string;
  chat_type?: "channel" | "direct";
  thread_id?: null | string;
  agent_id: string;
  conversation_id: string;
  enabled: boolean;
  outbound_enabled?: boolean;
  created_at: string;
  updated_at: string;
}

/** `ChannelTargetSnapshot` of the protocol. */
export interface ChannelTargetSnapshot {
  channel_id: string;
  account_id: string;
  target_id: string;
  target_type: "channel";
  chat_id: string;
  label: string;
  discovered_at: string;
  last_seen_at: string;
  last_message_id?: string;
}

/** `ChannelAccountCreatePayload` of the protocol. */
export interface ChannelAccountCreatePayload {
  account_id?: string;
  display_name?: string;
  enabled?: boolean;
  dm_policy?: "pairing" | "allowlist" | "open";
  allowed_users?: string[];
  config?: JsonObject;
}

/** `ChatGPTUsageSnapshotPayload` of the protocol. */
export interface ChatGPTUsageSnapshotPayload {
  providerName: string;
  fetchedAt: string;
  summary: string;
  planType?: null | string;
  limitReached?: boolean | null;
  rateLimitReachedType?: null | string;
  primary: null | JsonObject;
  secondary: null | JsonObject;
  additional: JsonObject[];
  credits?: null | JsonObject;
  individualLimit?: null | JsonObject;
}

/** `ChatGPTUsageReadErrorPayload` of the protocol. */
export interface ChatGPTUsageReadErrorPayload {
  code:
    | "bad_request"
    | "not_connected"
    | "unsupported_target"
    | "refresh_failed"
    | "unauthorized"
    | "forbidden"
    | "rate_limited"
    | "network_error"
    | "bad_response";
  message: string;
  retryAfterMs?: number;
}

/** `TeleportContinuation` of the protocol. */
export interface TeleportContinuation {
  approvals: (JsonObject | JsonObject)[];
}

/** `InputTeleportContinuePayload` of the protocol. */
export interface InputTeleportContinuePayload {
  kind: "teleport_continue";
  teleport_id: string;
  source: { device_id: string; connection_name: string };
  continuation?: TeleportContinuation;
}

/** A delta of `system_message` (section 11). */
export interface SystemMessageDelta {
  message_type: "system_message";
  type: "message";
  id: string;
  content: string;
  date: string;
  is_err?: boolean | null;
  name?: null | string;
  otid?: null | string;
  run_id?: null | string;
  sender_id?: null | string;
  seq_id?: null | number;
  step_id?: null | string;
}

/** A delta of `user_message` (section 11). */
export interface UserMessageDelta {
  message_type: "user_message";
  type: "message";
  id: string;
  content: string | (TextContent | ImageContent)[];
  date: string;
  is_err?: boolean | null;
  name?: null | string;
  otid?: null | string;
  run_id?: null | string;
  sender_id?: null | string;
  seq_id?: null | number;
  step_id?: null | string;
}

/** A delta of `reasoning_message` (section 11). */
export interface ReasoningMessageDelta {
  message_type: "reasoning_message";
  type: "message";
  id: string;
  date: string;
  reasoning: string;
  is_err?: boolean | null;
  name?: null | string;
  otid?: null | string;
  run_id?: null | string;
  sender_id?: null | string;
  seq_id?: null | number;
  signature?: null | string;
  source?: "reasoner_model" | "non_reasoner_model";
  step_id?: null | string;
}

/** A delta of `hidden_reasoning_message` (section 11). */
export interface HiddenReasoningMessageDelta {
  message_type: "hidden_reasoning_message";
  type: "message";
  id: string;
  date: string;
  state: "redacted" | "omitted";
  hidden_reasoning?: null | string;
  is_err?: boolean | null;
  name?: null | string;
  otid?: null | string;
  run_id?: null | string;
  sender_id?: null | string;
  seq_id?: null | number;
  step_id?: null | string;
}

/** A delta of `tool_call_message` (section 11). */
export interface ToolCallMessageDelta {
  message_type: "tool_call_message";
  type: "message";
  id: string;
  date: string;
  tool_call: JsonObject | JsonObject;
  is_err?: boolean | null;
  name?: null | string;
  otid?: null | string;
  run_id?: null | string;
  sender_id?: null | string;
  seq_id?: null | number;
  step_id?: null | string;
  tool_calls?: null | JsonObject | JsonObject[];
}

/** A delta of `tool_return_message` (section 11). */
export interface ToolReturnMessageDelta {
  message_type: "tool_return_message";
  type: "message";
  id: string;
  date: string;
  status: "error" | "success";
  tool_call_id: string;
  tool_return: string;
  is_err?: boolean | null;
  name?: null | string;
  otid?: null | string;
  run_id?: null | string;
  sender_id?: null | string;
  seq_id?: null | number;
  stderr?: null | string[];
  stdout?: null | string[];
  step_id?: null | string;
  tool_returns?: null | JsonObject[];
}

/** A delta of `assistant_message` (section 11). */
export interface AssistantMessageDelta {
  message_type: "assistant_message";
  type: "message";
  id: string;
  content: string | JsonObject[];
  date: string;
  is_err?: boolean | null;
  name?: null | string;
  otid?: null | string;
  run_id?: null | string;
  sender_id?: null | string;
  seq_id?: null | number;
  step_id?: null | string;
}

/** A delta of `approval_request_message` (section 11). */
export interface ApprovalRequestMessageDelta {
  message_type: "approval_request_message";
  type: "message";
  id: string;
  date: string;
  tool_call: JsonObject | JsonObject;
  is_err?: boolean | null;
  name?: null | string;
  otid?: null | string;
  run_id?: null | string;
  sender_id?: null | string;
  seq_id?: null | number;
  step_id?: null | string;
  tool_calls?: null | JsonObject | JsonObject[];
}

/** A delta of `approval_response_message` (section 11). */
export interface ApprovalResponseMessageDelta {
  message_type: "approval_response_message";
  type: "message";
  id: string;
  date: string;
  approval_request_id?: null | string;
  approvals?: null | (JsonObject | JsonObject)[];
  approve?: boolean | null;
  is_err?: boolean | null;
  name?: null | string;
  otid?: null | string;
  reason?: null | string;
  run_id?: null | string;
  sender_id?: null | string;
  seq_id?: null | number;
  step_id?: null | string;
}

/** A delta of `ping` (section 11). */
export interface PingDelta {
  message_type: "ping";
  type: "message";
  id: string;
  date: string;
  is_err?: boolean | null;
  name?: null | string;
  otid?: null | string;
  run_id?: null | string;
  sender_id?: null | string;
  seq_id?: null | number;
  step_id?: null | string;
}

/** A delta of `error_message` (section 11). */
export interface ErrorMessageDelta {
  message_type: "error_message";
  type: "message";
  error_type: string;
  message: string;
  run_id: string;
  detail?: string;
  seq_id?: number;
}

/** A delta of `stop_reason` (section 11). */
export interface StopReasonDelta {
  message_type: "stop_reason";
  type: "message";
  stop_reason:
    | "end_turn"
    | "error"
    | "llm_api_error"
    | "invalid_llm_response"
    | "invalid_tool_call"
    | "max_steps"
    | "max_tokens_exceeded"
    | "no_tool_call"
    | "tool_rule"
    | "cancelled"
    | "insufficient_credits"
    | "requires_approval"
    | "context_window_overflow_in_system_prompt";
}

/** A delta of `usage_statistics` (section 11). */
export interface UsageStatisticsDelta {
  message_type: "usage_statistics";
  type: "message";
  cache_write_tokens?: null | number;
  cached_input_tokens?: null | number;
  completion_tokens?: number;
  context_tokens?: null | number;
  prompt_tokens?: number;
  reasoning_tokens?: null | number;
  run_ids?: null | string[];
  step_count?: number;
  total_tokens?: number;
}

/** A delta of `client_tool_start` (section 11). */
export interface ClientToolStartDelta {
  message_type: "client_tool_start";
  tool_call_id: string;
  tool_name?: string;
  tool_args?: string;
  id: string;
  date: string;
  run_id?: string;
}

/** A delta of `client_tool_end` (section 11). */
export interface ClientToolEndDelta {
  message_type: "client_tool_end";
  tool_call_id: string;
  status: "error" | "success";
  id: string;
  date: string;
  run_id?: string;
}

/** A delta of `command_start` (section 11). */
export interface CommandStartDelta {
  message_type: "command_start";
  command_id: string;
  input: string;
  id: string;
  date: string;
  run_id?: string;
}

/** A delta of `command_end` (section 11). */
export interface CommandEndDelta {
  message_type: "command_end";
  command_id: string;
  input: string;
  output: string;
  success: boolean;
  dim_output?: boolean;
  preformatted?: boolean;
  id: string;
  date: string;
  run_id?: string;
}

/** A delta of `slash_command_start` (section 11). */
export interface SlashCommandStartDelta {
  message_type: "slash_command_start";
  command_id: string;
  input: string;
  id: string;
  date: string;
  run_id?: string;
}

/** A delta of `slash_command_end` (section 11). */
export interface SlashCommandEndDelta {
  message_type: "slash_command_end";
  command_id: string;
  input: string;
  output: string;
  success: boolean;
  id: string;
  date: string;
  run_id?: string;
}

/** A delta of `status` (section 11). */
export interface StatusDelta {
  message_type: "status";
  message: string;
  level: "success" | "info" | "warning";
  id: string;
  date: string;
  run_id?: string;
}

/** A delta of `retry` (section 11). */
export interface RetryDelta {
  message_type: "retry";
  message: string;
  reason:
    | "end_turn"
    | "error"
    | "llm_api_error"
    | "invalid_llm_response"
    | "invalid_tool_call"
    | "max_steps"
    | "max_tokens_exceeded"
    | "no_tool_call"
    | "tool_rule"
    | "cancelled"
    | "insufficient_credits"
    | "requires_approval"
    | "context_window_overflow_in_system_prompt";
  attempt: number;
  max_attempts: number;
  delay_ms: number;
  retry_kind?: "provider_retry" | "transport_fallback";
  provider?: string;
  from_transport?: null | string;
  to_transport?: null | string;
  error_code?: null | string;
  step_id?: null | string;
  id: string;
  date: string;
  run_id?: string;
}

/** A delta of `loop_error` (section 11). */
export interface LoopErrorDelta {
  message_type: "loop_error";
  message: string;
  stop_reason:
    | "end_turn"
    | "error"
    | "llm_api_error"
    | "invalid_llm_response"
    | "invalid_tool_call"
    | "max_steps"
    | "max_tokens_exceeded"
    | "no_tool_call"
    | "tool_rule"
    | "cancelled"
    | "insufficient_credits"
    | "requires_approval"
    | "context_window_overflow_in_system_prompt";
  is_terminal: boolean;
  api_error?: JsonObject;
  id: string;
  date: string;
  run_id?: string;
}

/** A delta of `event_message` (section 11). */
export interface EventMessageDelta {
  message_type: "event_message";
  agent_id?: unknown;
  conversation_id?: unknown;
  date?: unknown;
  event_data?: unknown;
  event_type?: unknown;
  id?: unknown;
  run_id?: unknown;
  seq_id?: unknown;
  type?: unknown;
}

/** What a `stream_delta` carries, by `message_type`. */
export type StreamDelta =
  | SystemMessageDelta
  | UserMessageDelta
  | ReasoningMessageDelta
  | HiddenReasoningMessageDelta
  | ToolCallMessageDelta
  | ToolReturnMessageDelta
  | AssistantMessageDelta
  | ApprovalRequestMessageDelta
  | ApprovalResponseMessageDelta
  | PingDelta
  | ErrorMessageDelta
  | StopReasonDelta
  | UsageStatisticsDelta
  | ClientToolStartDelta
  | ClientToolEndDelta
  | CommandStartDelta
  | CommandEndDelta
  | SlashCommandStartDelta
  | SlashCommandEndDelta
  | StatusDelta
  | RetryDelta
  | LoopErrorDelta
  | EventMessageDelta;

/** Command, answered by `input_accepted` (the response is sent only when request_id is given; generation split ignores request_id and never answers). */
export interface InputCommand {
  type: "input";
  /** Only on single servers. */
  request_id?: string;
  runtime: RuntimeScope;
  payload: InputCreateMessagePayload | InputApprovalResponsePayload | InputTeleportContinuePayload;
}

/** Command without a response (no response; watch update_device_status, or a non-terminal loop_error delta on failure). */
export interface ChangeDeviceStateCommand {
  type: "change_device_state";
  runtime: RuntimeScope;
  payload: ChangeDeviceStatePayload;
}

/** Command, answered by `abort_message_response` (the response is sent only when request_id is given). */
export interface AbortMessageCommand {
  type: "abort_message";
  runtime: RuntimeScope;
  request_id?: string;
  run_id?: null | string;
}

/** Command, answered by `sync_response` (the response is sent only when request_id is given). */
export interface SyncCommand {
  type: "sync";
  runtime: RuntimeScope;
  request_id?: string;
  recover_approvals?: boolean;
  force_device_status?: boolean;
}

/** Command, answered by `runtime_start_response`. */
export interface RuntimeStartCommand {
  type: "runtime_start";
  request_id: string;
  agent_id?: string;
  create_agent?: RuntimeStartCreateAgentOptions;
  conversation_id?: string;
  create_conversation?: RuntimeStartCreateConversationOptions;
  /** Only on single servers. */
  conversation_source_tags?: string[];
  cwd?: null | string;
  mode?: "standard" | "acceptEdits" | "unrestricted" | "strict";
  /** Only on single servers. */
  workspace_sandbox?: { root: string; isolation_root: string };
  /** Only on single servers. */
  skill_sources?: ("bundled" | "global" | "agent" | "project")[];
  /** Only on single servers. */
  preserve_skill_sources?: boolean;
  client_info?: RuntimeStartClientInfo;
  recover_approvals?: boolean;
  force_device_status?: boolean;
  /** Only on single servers. */
  wait_for_replay?: boolean;
  external_tools?: RuntimeStartExternalToolsGroup[];
}

/** Command, answered by `teleport_probe_response`. */
export interface TeleportProbeCommand {
  type: "teleport_probe";
  request_id: string;
  runtime: RuntimeScope;
}

/** Command, answered by `teleport_ready` (answered asynchronously by teleport_ready (matched by teleport_id, not request_id)). */
export interface TeleportRequestCommand {
  type: "teleport_request";
  request_id: string;
  teleport_id: string;
  runtime: RuntimeScope;
  target: { connection_id: string; device_id: string; connection_name: string };
}

/** Command without a response. */
export interface TeleportFailedCommand {
  type: "teleport_failed";
  teleport_id: string;
  runtime: RuntimeScope;
  error: string;
}

/** Command, answered by `runtime_external_tools_update_response`. */
export interface RuntimeExternalToolsUpdateCommand {
  type: "runtime_external_tools_update";
  request_id: string;
  updates: RuntimeExternalToolsUpdateGroup[];
}

/** Command without a response (client answer to external_tool_call_request; no response). */
export interface ExternalToolCallResponseCommand {
  type: "external_tool_call_response";
  request_id: string;
  result?: ExternalToolCallResult;
  error?: string;
}

/** Command, answered by `terminal_spawned` (correlate by terminal_id; on failure terminal_exited with error comes instead). */
export interface TerminalSpawnCommand {
  type: "terminal_spawn";
  terminal_id: string;
  cols: number;
  rows: number;
  cwd?: string;
}

/** Command without a response. */
export interface TerminalInputCommand {
  type: "terminal_input";
  terminal_id: string;
  data: string;
}

/** Command without a response. */
export interface TerminalResizeCommand {
  type: "terminal_resize";
  terminal_id: string;
  cols: number;
  rows: number;
}

/** Command without a response. */
export interface TerminalKillCommand {
  type: "terminal_kill";
  terminal_id: string;
}

/** Command, answered by `search_files_response`. */
export interface SearchFilesCommand {
  type: "search_files";
  query: string;
  request_id: string;
  max_results?: number;
  cwd?: string;
}

/** Command, answered by `grep_in_files_response`. */
export interface GrepInFilesCommand {
  type: "grep_in_files";
  request_id: string;
  query: string;
  is_regex?: boolean;
  case_sensitive?: boolean;
  whole_word?: boolean;
  glob?: string;
  cwd?: string;
  max_results?: number;
  context_lines?: number;
}

/** Command, answered by `list_in_directory_response` (request_id optional; echoed when given). */
export interface ListInDirectoryCommand {
  type: "list_in_directory";
  path: string;
  include_files?: boolean;
  limit?: number;
  offset?: number;
  request_id?: string;
}

/** Command, answered by `get_tree_response`. */
export interface GetTreeCommand {
  type: "get_tree";
  path: string;
  depth: number;
  request_id: string;
}

/** Command, answered by `read_file_response`. */
export interface ReadFileCommand {
  type: "read_file";
  path: string;
  request_id: string;
  /** Only on single servers. */
  encoding?: "utf8" | "base64";
}

/** Command, answered by `write_file_response`. */
export interface WriteFileCommand {
  type: "write_file";
  path: string;
  content: string;
  request_id: string;
}

/** Command without a response (request_id is required but there is no response). */
export interface WatchFileCommand {
  type: "watch_file";
  path: string;
  request_id: string;
}

/** Command without a response (request_id is required but there is no response). */
export interface UnwatchFileCommand {
  type: "unwatch_file";
  path: string;
  request_id: string;
}

/** Command, answered by `edit_file_response`. */
export interface EditFileCommand {
  type: "edit_file";
  file_path: string;
  old_string: string;
  new_string: string;
  replace_all?: boolean;
  expected_replacements?: number;
  request_id: string;
}

/** Command without a response. */
export interface FileOpsCommand {
  type: "file_ops";
  path: string;
  cg_entries: { agent: string; seq: number; len: number; parents: [string, number][] }[];
  ops: { type: "ins" | "del"; pos: number; content?: string | undefined }[];
  source: string;
  document_content?: string;
}

/** Command, answered by `list_memory_response` (answers in frames of at most 5 entries, all with the same request_id; done=true marks the last). */
export interface ListMemoryCommand {
  type: "list_memory";
  request_id: string;
  agent_id: string;
  include_references?: boolean;
}

/** Command, answered by `memory_history_response`. */
export interface MemoryHistoryCommand {
  type: "memory_history";
  request_id: string;
  agent_id: string;
  file_path?: string;
  limit?: number;
}

/** Command, answered by `memory_file_at_ref_response`. */
export interface MemoryFileAtRefCommand {
  type: "memory_file_at_ref";
  request_id: string;
  agent_id: string;
  file_path: string;
  ref: string;
}

/** Command, answered by `memory_commit_diff_response`. */
export interface MemoryCommitDiffCommand {
  type: "memory_commit_diff";
  request_id: string;
  agent_id: string;
  sha: string;
}

/** Command, answered by `read_memory_file_response`. */
export interface ReadMemoryFileCommand {
  type: "read_memory_file";
  request_id: string;
  agent_id: string;
  path: string;
  encoding?: "utf8" | "base64";
}

/** Command, answered by `write_memory_file_response`. */
export interface WriteMemoryFileCommand {
  type: "write_memory_file";
  request_id: string;
  agent_id: string;
  path: string;
  content: string;
  encoding?: "utf8" | "base64";
  commit_message?: string;
}

/** Command, answered by `delete_memory_file_response`. */
export interface DeleteMemoryFileCommand {
  type: "delete_memory_file";
  request_id: string;
  agent_id: string;
  path: string;
  commit_message?: string;
}

/** Command, answered by `enable_memfs_response`. */
export interface EnableMemfsCommand {
  type: "enable_memfs";
  request_id: string;
  agent_id: string;
}

/** Command, answered by `list_models_response`. */
export interface ListModelsCommand {
  type: "list_models";
  request_id: string;
  force?: boolean;
}

/** Command, answered by `list_connect_providers_response`. */
export interface ListConnectProvidersCommand {
  type: "list_connect_providers";
  request_id: string;
  target: "local";
}

/** Command, answered by `connect_provider_response`. */
export interface ConnectProviderCommand {
  type: "connect_provider";
  request_id: string;
  target: "local";
  provider_id: string;
  auth_method_id?: string;
  fields: Record<string, string>;
}

/** Command, answered by `disconnect_provider_response`. */
export interface DisconnectProviderCommand {
  type: "disconnect_provider";
  request_id: string;
  target: "local";
  provider_id: string;
  provider_name?: string;
}

/** Command, answered by `chatgpt_usage_read_response`. */
export interface ChatgptUsageReadCommand {
  type: "chatgpt_usage_read";
  request_id: string;
  target: "local" | "api";
  provider_name?: string;
  force_refresh?: boolean;
}

/** Command, answered by `update_model_response`. */
export interface UpdateModelCommand {
  type: "update_model";
  request_id: string;
  runtime: RuntimeScope;
  payload: UpdateModelPayload;
}

/** Command, answered by `update_toolset_response`. */
export interface UpdateToolsetCommand {
  type: "update_toolset";
  request_id: string;
  runtime: RuntimeScope;
  toolset_preference:
    | "codex"
    | "codex_snake"
    | "default"
    | "gemini"
    | "gemini_snake"
    | "none"
    | "auto";
}

/** Command, answered by `cron_list_response`. */
export interface CronListCommand {
  type: "cron_list";
  request_id: string;
  agent_id?: string;
  conversation_id?: string;
}

/** Command, answered by `cron_add_response`. */
export interface CronAddCommand {
  type: "cron_add";
  request_id: string;
  agent_id: string;
  conversation_id?: string;
  name: string;
  description: string;
  cron: string;
  timezone?: string;
  recurring: boolean;
  prompt: string;
  scheduled_for?: null | string;
}

/** Command, answered by `cron_get_response`. */
export interface CronGetCommand {
  type: "cron_get";
  request_id: string;
  task_id: string;
}

/** Command, answered by `cron_runs_response`. */
export interface CronRunsCommand {
  type: "cron_runs";
  request_id: string;
  task_id: string;
  limit?: number;
  offset?: number;
  run_id?: string;
}

/** Command, answered by `cron_trigger_response`. */
export interface CronTriggerCommand {
  type: "cron_trigger";
  request_id: string;
  task_id: string;
}

/** Command, answered by `cron_update_response`. */
export interface CronUpdateCommand {
  type: "cron_update";
  request_id: string;
  task_id: string;
  name?: string;
  description?: string;
  conversation_id?: string;
  cron?: string;
  timezone?: string;
  recurring?: boolean;
  prompt?: string;
  scheduled_for?: null | string;
}

/** Command, answered by `cron_delete_response`. */
export interface CronDeleteCommand {
  type: "cron_delete";
  request_id: string;
  task_id: string;
}

/** Command, answered by `cron_delete_all_response`. */
export interface CronDeleteAllCommand {
  type: "cron_delete_all";
  request_id: string;
  agent_id: string;
}

/** Command, answered by `skill_enable_response`. */
export interface SkillEnableCommand {
  type: "skill_enable";
  request_id: string;
  skill_path: string;
}

/** Command, answered by `skill_disable_response`. */
export interface SkillDisableCommand {
  type: "skill_disable";
  request_id: string;
  name: string;
}

/** Command, answered by `create_agent_response`. */
export interface CreateAgentCommand {
  type: "create_agent";
  request_id: string;
  personality: "memo" | "tutorial" | "blank" | "linus" | "kawaii";
  model?: string;
  /** Only on single servers. */
  tags?: string[];
  pin_global?: boolean;
}

/** Command, answered by `app_server_info_response` (split from 0.29.2 on only; before that no answer). */
export interface AppServerInfoCommand {
  type: "app_server_info";
  request_id: string;
}

/** Command, answered by `agent_list_response`. */
export interface AgentListCommand {
  type: "agent_list";
  request_id: string;
  query?: JsonObject;
}

/** Command, answered by `agent_retrieve_response`. */
export interface AgentRetrieveCommand {
  type: "agent_retrieve";
  request_id: string;
  agent_id: string;
}

/** Command, answered by `agent_create_response`. */
export interface AgentCreateCommand {
  type: "agent_create";
  request_id: string;
  body: JsonObject;
}

/** Command, answered by `agent_update_response`. */
export interface AgentUpdateCommand {
  type: "agent_update";
  request_id: string;
  agent_id: string;
  body: JsonObject;
}

/** Command, answered by `agent_delete_response`. */
export interface AgentDeleteCommand {
  type: "agent_delete";
  request_id: string;
  agent_id: string;
}

/** Command, answered by `conversation_list_response`. */
export interface ConversationListCommand {
  type: "conversation_list";
  request_id: string;
  query?: JsonObject;
}

/** Command, answered by `conversation_retrieve_response`. */
export interface ConversationRetrieveCommand {
  type: "conversation_retrieve";
  request_id: string;
  conversation_id: string;
}

/** Command, answered by `conversation_create_response`. */
export interface ConversationCreateCommand {
  type: "conversation_create";
  request_id: string;
  body: JsonObject;
  acting_user_id?: string;
}

/** Command, answered by `conversation_update_response`. */
export interface ConversationUpdateCommand {
  type: "conversation_update";
  request_id: string;
  conversation_id: string;
  body: JsonObject;
}

/** Command, answered by `conversation_recompile_response`. */
export interface ConversationRecompileCommand {
  type: "conversation_recompile";
  request_id: string;
  conversation_id: string;
  body?: JsonObject;
}

/** Command, answered by `conversation_fork_response`. */
export interface ConversationForkCommand {
  type: "conversation_fork";
  request_id: string;
  conversation_id: string;
  body?: ConversationForkBody;
  acting_user_id?: string;
}

/** Command, answered by `conversation_messages_list_response`. */
export interface ConversationMessagesListCommand {
  type: "conversation_messages_list";
  request_id: string;
  conversation_id: string;
  query?: JsonObject;
}

/** Command, answered by `conversation_compact_response`. */
export interface ConversationCompactCommand {
  type: "conversation_compact";
  request_id: string;
  conversation_id: string;
  body?: JsonObject;
}

/** Command, answered by `set_boot_working_directory_response`. */
export interface SetBootWorkingDirectoryCommand {
  type: "set_boot_working_directory";
  request_id: string;
  cwd: string;
}

/** Command, answered by `get_cwd_map_response`. */
export interface GetCwdMapCommand {
  type: "get_cwd_map";
  request_id: string;
}

/** Command, answered by `get_reflection_settings_response`. */
export interface GetReflectionSettingsCommand {
  type: "get_reflection_settings";
  request_id: string;
  runtime: RuntimeScope;
}

/** Command, answered by `set_reflection_settings_response`. */
export interface SetReflectionSettingsCommand {
  type: "set_reflection_settings";
  request_id: string;
  runtime: RuntimeScope;
  settings: {
    trigger: JsonObject;
    step_count: number;
    merge?: JsonObject | undefined;
    merge_instructions?: string | undefined;
  };
  scope?: "global" | "local_project" | "both";
}

/** Command, answered by `get_experiments_response`. */
export interface GetExperimentsCommand {
  type: "get_experiments";
  request_id: string;
}

/** Command, answered by `set_experiment_response`. */
export interface SetExperimentCommand {
  type: "set_experiment";
  request_id: string;
  experiment_id:
    | "artifacts"
    | "conversation_titles"
    | "desktop_conversation_bootstrap"
    | "diffs"
    | "reflection_arena"
    | "tui_cron";
  enabled: boolean;
}

/** Command, answered by `channels_list_response`. */
export interface ChannelsListCommand {
  type: "channels_list";
  request_id: string;
}

/** Command, answered by `channel_accounts_list_response`. */
export interface ChannelAccountsListCommand {
  type: "channel_accounts_list";
  request_id: string;
  channel_id: string;
}

/** Command, answered by `channel_account_create_response`. */
export interface ChannelAccountCreateCommand {
  type: "channel_account_create";
  request_id: string;
  channel_id: string;
  account: ChannelAccountCreatePayload;
}

/** Command, answered by `channel_account_update_response`. */
export interface ChannelAccountUpdateCommand {
  type: "channel_account_update";
  request_id: string;
  channel_id: string;
  account_id: string;
  patch: Omit<ChannelAccountCreatePayload, "account_id">;
}

/** Command, answered by `channel_account_bind_response`. */
export interface ChannelAccountBindCommand {
  type: "channel_account_bind";
  request_id: string;
  channel_id: string;
  account_id: string;
  runtime: RuntimeScope;
}

/** Command, answered by `channel_account_unbind_response`. */
export interface ChannelAccountUnbindCommand {
  type: "channel_account_unbind";
  request_id: string;
  channel_id: string;
  account_id: string;
}

/** Command, answered by `channel_account_delete_response`. */
export interface ChannelAccountDeleteCommand {
  type: "channel_account_delete";
  request_id: string;
  channel_id: string;
  account_id: string;
}

/** Command, answered by `channel_account_start_response`. */
export interface ChannelAccountStartCommand {
  type: "channel_account_start";
  request_id: string;
  channel_id: string;
  account_id: string;
}

/** Command, answered by `channel_account_stop_response`. */
export interface ChannelAccountStopCommand {
  type: "channel_account_stop";
  request_id: string;
  channel_id: string;
  account_id: string;
}

/** Command, answered by `channel_get_config_response`. */
export interface ChannelGetConfigCommand {
  type: "channel_get_config";
  request_id: string;
  channel_id: string;
  account_id?: string;
}

/** Command, answered by `channel_set_config_response`. */
export interface ChannelSetConfigCommand {
  type: "channel_set_config";
  request_id: string;
  channel_id: string;
  account_id?: string;
  config: {
    dm_policy?: JsonObject | undefined;
    allowed_users?: string[] | undefined;
    plugin_config?: JsonObject | undefined;
  };
}

/** Command, answered by `channel_start_response`. */
export interface ChannelStartCommand {
  type: "channel_start";
  request_id: string;
  channel_id: string;
  account_id?: string;
}

/** Command, answered by `channel_stop_response`. */
export interface ChannelStopCommand {
  type: "channel_stop";
  request_id: string;
  channel_id: string;
  account_id?: string;
}

/** Command, answered by `channel_pairings_list_response`. */
export interface ChannelPairingsListCommand {
  type: "channel_pairings_list";
  request_id: string;
  channel_id: string;
  account_id?: string;
}

/** Command, answered by `channel_pairing_bind_response`. */
export interface ChannelPairingBindCommand {
  type: "channel_pairing_bind";
  request_id: string;
  channel_id: string;
  account_id?: string;
  runtime: RuntimeScope;
  code: string;
}

/** Command, answered by `channel_routes_list_response`. */
export interface ChannelRoutesListCommand {
  type: "channel_routes_list";
  request_id: string;
  channel_id?: string;
  account_id?: string;
  agent_id?: string;
  conversation_id?: string;
}

/** Command, answered by `channel_targets_list_response`. */
export interface ChannelTargetsListCommand {
  type: "channel_targets_list";
  request_id: string;
  channel_id: string;
  account_id?: string;
}

/** Command, answered by `channel_target_bind_response`. */
export interface ChannelTargetBindCommand {
  type: "channel_target_bind";
  request_id: string;
  channel_id: string;
  account_id?: string;
  runtime: RuntimeScope;
  target_id: string;
}

/** Command, answered by `channel_route_remove_response`. */
export interface ChannelRouteRemoveCommand {
  type: "channel_route_remove";
  request_id: string;
  channel_id: string;
  account_id?: string;
  chat_id: string;
}

/** Command, answered by `channel_route_update_response`. */
export interface ChannelRouteUpdateCommand {
  type: "channel_route_update";
  request_id: string;
  channel_id: string;
  account_id?: string;
  chat_id: string;
  runtime: RuntimeScope;
}

/** Command, answered by `execute_command_response` (single: execute_command_response; also slash_command_start/slash_command_end deltas for commands that ran). */
export interface ExecuteCommandCommand {
  type: "execute_command";
  command_id: string;
  request_id: string;
  runtime: RuntimeScope;
  args?: string;
}

/** Command, answered by `remove_queue_item_response`. */
export interface RemoveQueueItemCommand {
  type: "remove_queue_item";
  request_id: string;
  runtime: RuntimeScope;
  item_id: string;
}

/** Command, answered by `search_branches_response`. */
export interface SearchBranchesCommand {
  type: "search_branches";
  request_id: string;
  query: string;
  max_results?: number;
  cwd?: string;
}

/** Command, answered by `checkout_branch_response`. */
export interface CheckoutBranchCommand {
  type: "checkout_branch";
  request_id: string;
  branch: string;
  create?: boolean;
  cwd?: string;
}

/** Command, answered by `secret_list_response`. */
export interface SecretListCommand {
  type: "secret_list";
  request_id: string;
  agent_id: string;
}

/** Command, answered by `secret_apply_response`. */
export interface SecretApplyCommand {
  type: "secret_apply";
  request_id: string;
  agent_id: string;
  set: Record<string, string>;
  unset: string[];
}

/** Event. */
export interface FileOpsMessage {
  type: "file_ops";
  path: string;
  cg_entries: { agent: string; seq: number; len: number; parents: [string, number][] }[];
  ops: { type: "ins" | "del"; pos: number; content?: string | undefined }[];
  source: string;
  document_content?: string;
}

/** Event. */
export interface ControlRequestMessage {
  type: "control_request";
  request_id: string;
  request: CanUseToolControlRequestBody;
  agent_id?: string;
  conversation_id?: string;
}

/** Response to `input`. */
export interface InputAcceptedResponseMessage {
  type: "input_accepted";
  request_id: string;
  runtime: RuntimeScope;
  accepted: boolean;
  disposition?: "started" | "queued";
  error?: string;
}

/** Response to `teleport_probe`. */
export interface TeleportProbeResponseMessage {
  type: "teleport_probe_response";
  request_id: string;
  runtime: RuntimeScope;
  supported: true;
  drains_accepted_inputs: true;
  idempotent_continuation: true;
}

/** Response to `teleport_request`. */
export interface TeleportReadyMessage {
  type: "teleport_ready";
  teleport_id: string;
  runtime: RuntimeScope;
  success: boolean;
  active_turn: boolean;
  mode?: "standard" | "acceptEdits" | "unrestricted" | "strict";
  continuation?: TeleportContinuation;
  error?: string;
}

/** Response to `execute_command`. */
export interface ExecuteCommandResponseMessage {
  type: "execute_command_response";
  request_id: string;
  success: boolean;
  output: string;
}

/** Event. */
export interface DeviceStatusUpdateMessage {
  type: "update_device_status";
  device_status: DeviceStatus;
  runtime: RuntimeScope;
  event_seq: number;
  emitted_at: string;
  idempotency_key: string;
}

/** Event. */
export interface LoopStatusUpdateMessage {
  type: "update_loop_status";
  loop_status: LoopState;
  runtime: RuntimeScope;
  event_seq: number;
  emitted_at: string;
  idempotency_key: string;
}

/** Event. */
export interface QueueUpdateMessage {
  type: "update_queue";
  queue: QueueMessage[];
  /** Only on single servers. */
  removed: QueueRemovalTransition[];
  runtime: RuntimeScope;
  event_seq: number;
  emitted_at: string;
  idempotency_key: string;
}

/** Event. */
export interface StreamDeltaMessage {
  type: "stream_delta";
  delta: StreamDelta;
  subagent_id?: string;
  runtime: RuntimeScope;
  event_seq: number;
  emitted_at: string;
  idempotency_key: string;
}

/** Event. */
export interface TurnFinishedMessage {
  type: "turn_finished";
  turn_id: string;
  stop_reason:
    | "end_turn"
    | "error"
    | "llm_api_error"
    | "invalid_llm_response"
    | "invalid_tool_call"
    | "max_steps"
    | "max_tokens_exceeded"
    | "no_tool_call"
    | "tool_rule"
    | "cancelled"
    | "insufficient_credits"
    | "requires_approval"
    | "context_window_overflow_in_system_prompt";
  run_id?: string;
  error?: string;
  runtime: RuntimeScope;
  event_seq: number;
  emitted_at: string;
  idempotency_key: string;
}

/** Event. */
export interface SubagentStateUpdateMessage {
  type: "update_subagent_state";
  subagents: SubagentSnapshot[];
  runtime: RuntimeScope;
  event_seq: number;
  emitted_at: string;
  idempotency_key: string;
}

/** Event. */
export interface ExternalToolCallRequestMessage {
  type: "external_tool_call_request";
  request_id: string;
  runtime?: RuntimeScope;
  scope_id?: string;
  tool_call_id: string;
  tool_name: string;
  input: Record<string, unknown>;
}

/** Response to `abort_message`. */
export interface AbortMessageResponseMessage {
  type: "abort_message_response";
  request_id: string;
  runtime: RuntimeScope;
  aborted: boolean;
  success: boolean;
  error?: string;
}

/** Response to `sync`. */
export interface SyncResponseMessage {
  type: "sync_response";
  request_id: string;
  runtime: RuntimeScope;
  success: boolean;
  error?: string;
}

/** Response to `runtime_external_tools_update`. */
export interface RuntimeExternalToolsUpdateResponseMessage {
  type: "runtime_external_tools_update_response";
  request_id: string;
  success: boolean;
  error?: string;
}

/** Event. */
export interface TerminalOutputMessage {
  type: "terminal_output";
  terminal_id: string;
  data: string;
}

/** Response to `terminal_spawn`. */
export interface TerminalSpawnedMessage {
  type: "terminal_spawned";
  terminal_id: string;
  pid: number;
}

/** Event. */
export interface TerminalExitedMessage {
  type: "terminal_exited";
  terminal_id: string;
  exitCode: number;
  error?: string;
}

/** Response to `search_files`. */
export interface SearchFilesResponseMessage {
  type: "search_files_response";
  request_id: string;
  files: SearchFilesEntry[];
  success: boolean;
  error?: string;
}

/** Response to `grep_in_files`. */
export interface GrepInFilesResponseMessage {
  type: "grep_in_files_response";
  request_id: string;
  success: boolean;
  matches: GrepInFilesMatch[];
  total_matches: number;
  total_files: number;
  truncated: boolean;
  error?: string;
}

/** Response to `list_in_directory`. */
export interface ListInDirectoryResponseMessage {
  type: "list_in_directory_response";
  path: string;
  folders: string[];
  files?: string[];
  hasMore: boolean;
  total?: number;
  success: boolean;
  error?: string;
  request_id?: string;
}

/** Response to `get_tree`. */
export interface GetTreeResponseMessage {
  type: "get_tree_response";
  path: string;
  request_id: string;
  entries: TreeEntry[];
  has_more_depth: boolean;
  success: boolean;
  error?: string;
}

/** Response to `read_file`. */
export interface ReadFileResponseMessage {
  type: "read_file_response";
  request_id: string;
  path: string;
  content: null | string;
  /** Only on single servers. */
  encoding?: "utf8" | "base64";
  success: boolean;
  error?: string;
}

/** Response to `write_file`. */
export interface WriteFileResponseMessage {
  type: "write_file_response";
  request_id: string;
  path: string;
  success: boolean;
  error?: string;
}

/** Response to `edit_file`. */
export interface EditFileResponseMessage {
  type: "edit_file_response";
  request_id: string;
  file_path: string;
  message: null | string;
  replacements: number;
  start_line?: number;
  success: boolean;
  error?: string;
}

/** Event. */
export interface FileChangedMessage {
  type: "file_changed";
  path: string;
  lastModified: number;
}

/** Response to `list_memory`. */
export interface ListMemoryResponseMessage {
  type: "list_memory_response";
  request_id: string;
  entries: MemoryFileEntry[];
  done: boolean;
  total: number;
  success: boolean;
  error?: string;
  memfs_enabled?: boolean;
  memfs_initialized?: boolean;
}

/** Response to `memory_history`. */
export interface MemoryHistoryResponseMessage {
  type: "memory_history_response";
  request_id: string;
  file_path: string;
  commits: MemoryHistoryCommitEntry[];
  success: boolean;
  error?: string;
}

/** Response to `memory_file_at_ref`. */
export interface MemoryFileAtRefResponseMessage {
  type: "memory_file_at_ref_response";
  request_id: string;
  file_path: string;
  ref: string;
  content: null | string;
  success: boolean;
  error?: string;
}

/** Response to `memory_commit_diff`. */
export interface MemoryCommitDiffResponseMessage {
  type: "memory_commit_diff_response";
  request_id: string;
  sha: string;
  diff: null | string;
  success: boolean;
  error?: string;
}

/** Response to `read_memory_file`. */
export interface ReadMemoryFileResponseMessage {
  type: "read_memory_file_response";
  request_id: string;
  agent_id: string;
  path: string;
  content: null | string;
  encoding: "utf8" | "base64";
  success: boolean;
  error?: string;
}

/** Response to `write_memory_file`. */
export interface WriteMemoryFileResponseMessage {
  type: "write_memory_file_response";
  request_id: string;
  agent_id: string;
  path: string;
  success: boolean;
  committed?: boolean;
  commit_sha?: string;
  error?: string;
}

/** Response to `delete_memory_file`. */
export interface DeleteMemoryFileResponseMessage {
  type: "delete_memory_file_response";
  request_id: string;
  agent_id: string;
  path: string;
  success: boolean;
  committed?: boolean;
  commit_sha?: string;
  error?: string;
}

/** Response to `enable_memfs`. */
export interface EnableMemfsResponseMessage {
  type: "enable_memfs_response";
  request_id: string;
  success: boolean;
  memory_directory?: string;
  error?: string;
}

/** Event. */
export interface MemoryUpdatedMessage {
  type: "memory_updated";
  affected_paths: string[];
  timestamp: number;
}

/** Response to `list_models`. */
export interface ListModelsResponseMessage {
  type: "list_models_response";
  request_id: string;
  success: boolean;
  entries: ListModelsResponseModelEntry[];
  available_handles?: null | string[];
  byok_provider_aliases?: Record<string, string>;
  error?: string;
}

/** Response to `list_connect_providers`. */
export interface ListConnectProvidersResponseMessage {
  type: "list_connect_providers_response";
  request_id: string;
  success: boolean;
  target: "local";
  providers: ConnectProviderEntry[];
  error?: string;
}

/** Response to `connect_provider`. */
export interface ConnectProviderResponseMessage {
  type: "connect_provider_response";
  request_id: string;
  success: boolean;
  target: "local";
  providers: ConnectProviderEntry[];
  models_may_have_changed: boolean;
  error?: string;
}

/** Response to `disconnect_provider`. */
export interface DisconnectProviderResponseMessage {
  type: "disconnect_provider_response";
  request_id: string;
  success: boolean;
  target: "local";
  providers: ConnectProviderEntry[];
  models_may_have_changed: boolean;
  error?: string;
}

/** Response to `chatgpt_usage_read`. */
export interface ChatgptUsageReadResponseMessage {
  type: "chatgpt_usage_read_response";
  request_id: string;
  success: boolean;
  target: "local" | "api";
  usage?: ChatGPTUsageSnapshotPayload;
  error?: ChatGPTUsageReadErrorPayload;
}

/** Response to `update_model`. */
export interface UpdateModelResponseMessage {
  type: "update_model_response";
  request_id: string;
  success: boolean;
  runtime?: RuntimeScope;
  applied_to?: "agent" | "conversation";
  model_id?: string;
  model_handle?: string;
  model_settings?: null | Record<string, unknown>;
  error?: string;
}

/** Response to `update_toolset`. */
export interface UpdateToolsetResponseMessage {
  type: "update_toolset_response";
  request_id: string;
  success: boolean;
  runtime?: RuntimeScope;
  current_toolset?: "codex" | "codex_snake" | "default" | "gemini" | "gemini_snake" | "none";
  current_toolset_preference?:
    | "codex"
    | "codex_snake"
    | "default"
    | "gemini"
    | "gemini_snake"
    | "none"
    | "auto";
  error?: string;
}

/** Response to `cron_list`. */
export interface CronListResponseMessage {
  type: "cron_list_response";
  request_id: string;
  tasks: CronTask[];
  success: boolean;
  error?: string;
}

/** Response to `cron_add`. */
export interface CronAddResponseMessage {
  type: "cron_add_response";
  request_id: string;
  success: boolean;
  task?: CronTask;
  warning?: string;
  error?: string;
}

/** Response to `cron_get`. */
export interface CronGetResponseMessage {
  type: "cron_get_response";
  request_id: string;
  success: boolean;
  found: boolean;
  task: null | CronTask;
  error?: string;
}

/** Response to `cron_runs`. */
export interface CronRunsResponseMessage {
  type: "cron_runs_response";
  request_id: string;
  success: boolean;
  page?: CronRunLogPage;
  error?: string;
}

/** Response to `cron_trigger`. */
export interface CronTriggerResponseMessage {
  type: "cron_trigger_response";
  request_id: string;
  success: boolean;
  found: boolean;
  task?: CronTask;
  error?: string;
}

/** Response to `cron_update`. */
export interface CronUpdateResponseMessage {
  type: "cron_update_response";
  request_id: string;
  success: boolean;
  task?: CronTask;
  error?: string;
}

/** Response to `cron_delete`. */
export interface CronDeleteResponseMessage {
  type: "cron_delete_response";
  request_id: string;
  success: boolean;
  found: boolean;
  error?: string;
}

/** Response to `cron_delete_all`. */
export interface CronDeleteAllResponseMessage {
  type: "cron_delete_all_response";
  request_id: string;
  success: boolean;
  agent_id: string;
  deleted: number;
  error?: string;
}

/** Event. */
export interface CronsUpdatedMessage {
  type: "crons_updated";
  timestamp: number;
  agent_id?: string;
  conversation_id?: null | string;
}

/** Response to `skill_enable`. */
export interface SkillEnableResponseMessage {
  type: "skill_enable_response";
  request_id: string;
  success: boolean;
  skill_name?: string;
  error?: string;
}

/** Response to `skill_disable`. */
export interface SkillDisableResponseMessage {
  type: "skill_disable_response";
  request_id: string;
  success: boolean;
  skill_name?: string;
  error?: string;
}

/** Event. */
export interface SkillsUpdatedMessage {
  type: "skills_updated";
  timestamp: number;
}

/** Response to `create_agent`. */
export interface CreateAgentResponseMessage {
  type: "create_agent_response";
  request_id: string;
  success: boolean;
  agent_id?: string;
  name?: string;
  model?: string;
  error?: string;
}

/** Response to `app_server_info`. */
export interface AppServerInfoResponseMessage {
  type: "app_server_info_response";
  request_id: string;
  success: true;
  backend: "local" | "api";
  letta_code_version: string;
  protocol_version: number;
  capabilities: {
    agent_management: boolean;
    conversation_management: boolean;
    memory_management: boolean;
    runtime_start: boolean;
    runtime_workspace_sandbox?: boolean | undefined;
    runtime_external_tools_update?: boolean | undefined;
    split_channels: boolean;
  };
}

/** Response to `agent_list`. */
export interface AgentListResponseMessage {
  type: "agent_list_response";
  request_id: string;
  success: boolean;
  agents: JsonObject[];
  error?: string;
}

/** Response to `agent_retrieve`. */
export interface AgentRetrieveResponseMessage {
  type: "agent_retrieve_response";
  request_id: string;
  success: boolean;
  agent: null | JsonObject;
  error?: string;
}

/** Response to `agent_create`. */
export interface AgentCreateResponseMessage {
  type: "agent_create_response";
  request_id: string;
  success: boolean;
  agent: null | JsonObject;
  error?: string;
}

/** Response to `agent_update`. */
export interface AgentUpdateResponseMessage {
  type: "agent_update_response";
  request_id: string;
  success: boolean;
  agent: null | JsonObject;
  error?: string;
}

/** Response to `agent_delete`. */
export interface AgentDeleteResponseMessage {
  type: "agent_delete_response";
  request_id: string;
  success: boolean;
  agent_id: string;
  error?: string;
}

/** Response to `conversation_list`. */
export interface ConversationListResponseMessage {
  type: "conversation_list_response";
  request_id: string;
  success: boolean;
  conversations: JsonObject[];
  error?: string;
}

/** Response to `conversation_retrieve`. */
export interface ConversationRetrieveResponseMessage {
  type: "conversation_retrieve_response";
  request_id: string;
  success: boolean;
  conversation: null | JsonObject;
  error?: string;
}

/** Response to `conversation_create`. */
export interface ConversationCreateResponseMessage {
  type: "conversation_create_response";
  request_id: string;
  success: boolean;
  conversation: null | JsonObject;
  error?: string;
}

/** Response to `conversation_update`. */
export interface ConversationUpdateResponseMessage {
  type: "conversation_update_response";
  request_id: string;
  success: boolean;
  conversation: null | JsonObject;
  error?: string;
}

/** Response to `conversation_recompile`. */
export interface ConversationRecompileResponseMessage {
  type: "conversation_recompile_response";
  request_id: string;
  success: boolean;
  result: null | string;
  error?: string;
}

/** Response to `conversation_fork`. */
export interface ConversationForkResponseMessage {
  type: "conversation_fork_response";
  request_id: string;
  success: boolean;
  conversation: null | ForkedConversationReference;
  error?: string;
}

/** Response to `conversation_messages_list`. */
export interface ConversationMessagesListResponseMessage {
  type: "conversation_messages_list_response";
  request_id: string;
  success: boolean;
  messages: (
    | JsonObject
    | JsonObject
    | JsonObject
    | JsonObject
    | JsonObject
    | JsonObject
    | JsonObject
    | JsonObject
    | JsonObject
    | JsonObject
    | JsonObject
  )[];
  /** Only on single servers. */
  next_before: null | string;
  /** Only on single servers. */
  has_more: boolean;
  error?: string;
}

/** Response to `conversation_compact`. */
export interface ConversationCompactResponseMessage {
  type: "conversation_compact_response";
  request_id: string;
  success: boolean;
  compaction: null | JsonObject;
  error?: string;
}

/** Response to `runtime_start`. */
export interface RuntimeStartResponseMessage {
  type: "runtime_start_response";
  request_id: string;
  success: boolean;
  runtime: null | RuntimeScope;
  agent: null | JsonObject;
  conversation: null | JsonObject;
  created: { agent: boolean; conversation: boolean };
  error?: string;
}

/** Response to `get_experiments`. */
export interface GetExperimentsResponseMessage {
  type: "get_experiments_response";
  request_id: string;
  success: boolean;
  experiments: ExperimentSnapshot[];
  error?: string;
}

/** Response to `set_experiment`. */
export interface SetExperimentResponseMessage {
  type: "set_experiment_response";
  request_id: string;
  success: boolean;
  experiments: ExperimentSnapshot[];
  error?: string;
}

/** Response to `get_reflection_settings`. */
export interface GetReflectionSettingsResponseMessage {
  type: "get_reflection_settings_response";
  request_id: string;
  success: boolean;
  reflection_settings: null | ReflectionSettingsSnapshot;
  error?: string;
}

/** Response to `set_reflection_settings`. */
export interface SetReflectionSettingsResponseMessage {
  type: "set_reflection_settings_response";
  request_id: string;
  success: boolean;
  reflection_settings: null | ReflectionSettingsSnapshot;
  scope: "global" | "local_project" | "both";
  error?: string;
}

/** Response to `channels_list`. */
export interface ChannelsListResponseMessage {
  type: "channels_list_response";
  request_id: string;
  success: boolean;
  channels: ChannelSummary[];
  error?: string;
}

/** Response to `channel_accounts_list`. */
export interface ChannelAccountsListResponseMessage {
  type: "channel_accounts_list_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  accounts: ChannelAccountSnapshot[];
  error?: string;
}

/** Response to `channel_account_create`. */
export interface ChannelAccountCreateResponseMessage {
  type: "channel_account_create_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  account: null | ChannelAccountSnapshot;
  error?: string;
}

/** Response to `channel_account_update`. */
export interface ChannelAccountUpdateResponseMessage {
  type: "channel_account_update_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  account: null | ChannelAccountSnapshot;
  error?: string;
}

/** Response to `channel_account_bind`. */
export interface ChannelAccountBindResponseMessage {
  type: "channel_account_bind_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  account: null | ChannelAccountSnapshot;
  error?: string;
}

/** Response to `channel_account_unbind`. */
export interface ChannelAccountUnbindResponseMessage {
  type: "channel_account_unbind_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  account: null | ChannelAccountSnapshot;
  error?: string;
}

/** Response to `channel_account_delete`. */
export interface ChannelAccountDeleteResponseMessage {
  type: "channel_account_delete_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  account_id: string;
  deleted: boolean;
  error?: string;
}

/** Response to `channel_account_start`. */
export interface ChannelAccountStartResponseMessage {
  type: "channel_account_start_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  account: null | ChannelAccountSnapshot;
  error?: string;
}

/** Response to `channel_account_stop`. */
export interface ChannelAccountStopResponseMessage {
  type: "channel_account_stop_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  account: null | ChannelAccountSnapshot;
  error?: string;
}

/** Response to `channel_get_config`. */
export interface ChannelGetConfigResponseMessage {
  type: "channel_get_config_response";
  request_id: string;
  success: boolean;
  config: null | ChannelConfigSnapshot;
  error?: string;
}

/** Response to `channel_set_config`. */
export interface ChannelSetConfigResponseMessage {
  type: "channel_set_config_response";
  request_id: string;
  success: boolean;
  config: null | ChannelConfigSnapshot;
  error?: string;
}

/** Response to `channel_start`. */
export interface ChannelStartResponseMessage {
  type: "channel_start_response";
  request_id: string;
  success: boolean;
  channel: null | ChannelSummary;
  error?: string;
}

/** Response to `channel_stop`. */
export interface ChannelStopResponseMessage {
  type: "channel_stop_response";
  request_id: string;
  success: boolean;
  channel: null | ChannelSummary;
  error?: string;
}

/** Response to `channel_pairings_list`. */
export interface ChannelPairingsListResponseMessage {
  type: "channel_pairings_list_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  pending: ChannelPendingPairing[];
  error?: string;
}

/** Response to `channel_pairing_bind`. */
export interface ChannelPairingBindResponseMessage {
  type: "channel_pairing_bind_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  chat_id?: string;
  route?: null | ChannelRouteSnapshot;
  error?: string;
}

/** Response to `channel_routes_list`. */
export interface ChannelRoutesListResponseMessage {
  type: "channel_routes_list_response";
  request_id: string;
  success: boolean;
  channel_id?: string;
  routes: ChannelRouteSnapshot[];
  error?: string;
}

/** Response to `channel_targets_list`. */
export interface ChannelTargetsListResponseMessage {
  type: "channel_targets_list_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  targets: ChannelTargetSnapshot[];
  error?: string;
}

/** Response to `channel_target_bind`. */
export interface ChannelTargetBindResponseMessage {
  type: "channel_target_bind_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  target_id: string;
  chat_id?: string;
  route?: null | ChannelRouteSnapshot;
  error?: string;
}

/** Response to `channel_route_remove`. */
export interface ChannelRouteRemoveResponseMessage {
  type: "channel_route_remove_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  chat_id: string;
  found: boolean;
  error?: string;
}

/** Response to `channel_route_update`. */
export interface ChannelRouteUpdateResponseMessage {
  type: "channel_route_update_response";
  request_id: string;
  success: boolean;
  channel_id: string;
  chat_id: string;
  route?: null | ChannelRouteSnapshot;
  error?: string;
}

/** Event. */
export interface ChannelsUpdatedMessage {
  type: "channels_updated";
  timestamp: number;
  channel_id?: string;
}

/** Event. */
export interface ChannelAccountsUpdatedMessage {
  type: "channel_accounts_updated";
  timestamp: number;
  channel_id: string;
  account_id?: string;
}

/** Event. */
export interface ChannelPairingsUpdatedMessage {
  type: "channel_pairings_updated";
  timestamp: number;
  channel_id: string;
}

/** Event. */
export interface ChannelRoutesUpdatedMessage {
  type: "channel_routes_updated";
  timestamp: number;
  channel_id: string;
  agent_id?: string;
  conversation_id?: null | string;
}

/** Event. */
export interface ChannelTargetsUpdatedMessage {
  type: "channel_targets_updated";
  timestamp: number;
  channel_id: string;
}

/** Response to `set_boot_working_directory`. */
export interface SetBootWorkingDirectoryResponseMessage {
  type: "set_boot_working_directory_response";
  request_id: string;
  success: boolean;
  boot_working_directory: string;
  cwd_revision: number;
  error?: string;
}

/** Response to `get_cwd_map`. */
export interface GetCwdMapResponseMessage {
  type: "get_cwd_map_response";
  request_id: string;
  success: boolean;
  cwd_map: Record<string, string>;
  boot_working_directory: null | string;
  error?: string;
}

/** Response to `search_branches`. */
export interface SearchBranchesResponseMessage {
  type: "search_branches_response";
  request_id: string;
  branches: GitBranchInfo[];
  success: boolean;
  error?: string;
}

/** Response to `checkout_branch`. */
export interface CheckoutBranchResponseMessage {
  type: "checkout_branch_response";
  request_id: string;
  branch: string;
  success: boolean;
  error?: string;
}

/** Response to `secret_list`. */
export interface SecretListResponseMessage {
  type: "secret_list_response";
  request_id: string;
  success: boolean;
  secrets: { key: string; value: string }[];
  error?: string;
}

/** Response to `secret_apply`. */
export interface SecretApplyResponseMessage {
  type: "secret_apply_response";
  request_id: string;
  success: boolean;
  names: string[];
  error?: string;
}

/** Response to `remove_queue_item`. */
export interface RemoveQueueItemResponseMessage {
  type: "remove_queue_item_response";
  request_id: string;
  success: boolean;
  item_id: string;
}

/** Every known command. */
export type WsProtocolCommand =
  | InputCommand
  | ChangeDeviceStateCommand
  | AbortMessageCommand
  | SyncCommand
  | RuntimeStartCommand
  | TeleportProbeCommand
  | TeleportRequestCommand
  | TeleportFailedCommand
  | RuntimeExternalToolsUpdateCommand
  | ExternalToolCallResponseCommand
  | TerminalSpawnCommand
  | TerminalInputCommand
  | TerminalResizeCommand
  | TerminalKillCommand
  | SearchFilesCommand
  | GrepInFilesCommand
  | ListInDirectoryCommand
  | GetTreeCommand
  | ReadFileCommand
  | WriteFileCommand
  | WatchFileCommand
  | UnwatchFileCommand
  | EditFileCommand
  | FileOpsCommand
  | ListMemoryCommand
  | MemoryHistoryCommand
  | MemoryFileAtRefCommand
  | MemoryCommitDiffCommand
  | ReadMemoryFileCommand
  | WriteMemoryFileCommand
  | DeleteMemoryFileCommand
  | EnableMemfsCommand
  | ListModelsCommand
  | ListConnectProvidersCommand
  | ConnectProviderCommand
  | DisconnectProviderCommand
  | ChatgptUsageReadCommand
  | UpdateModelCommand
  | UpdateToolsetCommand
  | CronListCommand
  | CronAddCommand
  | CronGetCommand
  | CronRunsCommand
  | CronTriggerCommand
  | CronUpdateCommand
  | CronDeleteCommand
  | CronDeleteAllCommand
  | SkillEnableCommand
  | SkillDisableCommand
  | CreateAgentCommand
  | AppServerInfoCommand
  | AgentListCommand
  | AgentRetrieveCommand
  | AgentCreateCommand
  | AgentUpdateCommand
  | AgentDeleteCommand
  | ConversationListCommand
  | ConversationRetrieveCommand
  | ConversationCreateCommand
  | ConversationUpdateCommand
  | ConversationRecompileCommand
  | ConversationForkCommand
  | ConversationMessagesListCommand
  | ConversationCompactCommand
  | SetBootWorkingDirectoryCommand
  | GetCwdMapCommand
  | GetReflectionSettingsCommand
  | SetReflectionSettingsCommand
  | GetExperimentsCommand
  | SetExperimentCommand
  | ChannelsListCommand
  | ChannelAccountsListCommand
  | ChannelAccountCreateCommand
  | ChannelAccountUpdateCommand
  | ChannelAccountBindCommand
  | ChannelAccountUnbindCommand
  | ChannelAccountDeleteCommand
  | ChannelAccountStartCommand
  | ChannelAccountStopCommand
  | ChannelGetConfigCommand
  | ChannelSetConfigCommand
  | ChannelStartCommand
  | ChannelStopCommand
  | ChannelPairingsListCommand
  | ChannelPairingBindCommand
  | ChannelRoutesListCommand
  | ChannelTargetsListCommand
  | ChannelTargetBindCommand
  | ChannelRouteRemoveCommand
  | ChannelRouteUpdateCommand
  | ExecuteCommandCommand
  | RemoveQueueItemCommand
  | SearchBranchesCommand
  | CheckoutBranchCommand
  | SecretListCommand
  | SecretApplyCommand;

/** Every known message of the server. */
export type WsProtocolMessage =
  | FileOpsMessage
  | ControlRequestMessage
  | InputAcceptedResponseMessage
  | TeleportProbeResponseMessage
  | TeleportReadyMessage
  | ExecuteCommandResponseMessage
  | DeviceStatusUpdateMessage
  | LoopStatusUpdateMessage
  | QueueUpdateMessage
  | StreamDeltaMessage
  | TurnFinishedMessage
  | SubagentStateUpdateMessage
  | ExternalToolCallRequestMessage
  | AbortMessageResponseMessage
  | SyncResponseMessage
  | RuntimeExternalToolsUpdateResponseMessage
  | TerminalOutputMessage
  | TerminalSpawnedMessage
  | TerminalExitedMessage
  | SearchFilesResponseMessage
  | GrepInFilesResponseMessage
  | ListInDirectoryResponseMessage
  | GetTreeResponseMessage
  | ReadFileResponseMessage
  | WriteFileResponseMessage
  | EditFileResponseMessage
  | FileChangedMessage
  | ListMemoryResponseMessage
  | MemoryHistoryResponseMessage
  | MemoryFileAtRefResponseMessage
  | MemoryCommitDiffResponseMessage
  | ReadMemoryFileResponseMessage
  | WriteMemoryFileResponseMessage
  | DeleteMemoryFileResponseMessage
  | EnableMemfsResponseMessage
  | MemoryUpdatedMessage
  | ListModelsResponseMessage
  | ListConnectProvidersResponseMessage
  | ConnectProviderResponseMessage
  | DisconnectProviderResponseMessage
  | ChatgptUsageReadResponseMessage
  | UpdateModelResponseMessage
  | UpdateToolsetResponseMessage
  | CronListResponseMessage
  | CronAddResponseMessage
  | CronGetResponseMessage
  | CronRunsResponseMessage
  | CronTriggerResponseMessage
  | CronUpdateResponseMessage
  | CronDeleteResponseMessage
  | CronDeleteAllResponseMessage
  | CronsUpdatedMessage
  | SkillEnableResponseMessage
  | SkillDisableResponseMessage
  | SkillsUpdatedMessage
  | CreateAgentResponseMessage
  | AppServerInfoResponseMessage
  | AgentListResponseMessage
  | AgentRetrieveResponseMessage
  | AgentCreateResponseMessage
  | AgentUpdateResponseMessage
  | AgentDeleteResponseMessage
  | ConversationListResponseMessage
  | ConversationRetrieveResponseMessage
  | ConversationCreateResponseMessage
  | ConversationUpdateResponseMessage
  | ConversationRecompileResponseMessage
  | ConversationForkResponseMessage
  | ConversationMessagesListResponseMessage
  | ConversationCompactResponseMessage
  | RuntimeStartResponseMessage
  | GetExperimentsResponseMessage
  | SetExperimentResponseMessage
  | GetReflectionSettingsResponseMessage
  | SetReflectionSettingsResponseMessage
  | ChannelsListResponseMessage
  | ChannelAccountsListResponseMessage
  | ChannelAccountCreateResponseMessage
  | ChannelAccountUpdateResponseMessage
  | ChannelAccountBindResponseMessage
  | ChannelAccountUnbindResponseMessage
  | ChannelAccountDeleteResponseMessage
  | ChannelAccountStartResponseMessage
  | ChannelAccountStopResponseMessage
  | ChannelGetConfigResponseMessage
  | ChannelSetConfigResponseMessage
  | ChannelStartResponseMessage
  | ChannelStopResponseMessage
  | ChannelPairingsListResponseMessage
  | ChannelPairingBindResponseMessage
  | ChannelRoutesListResponseMessage
  | ChannelTargetsListResponseMessage
  | ChannelTargetBindResponseMessage
  | ChannelRouteRemoveResponseMessage
  | ChannelRouteUpdateResponseMessage
  | ChannelsUpdatedMessage
  | ChannelAccountsUpdatedMessage
  | ChannelPairingsUpdatedMessage
  | ChannelRoutesUpdatedMessage
  | ChannelTargetsUpdatedMessage
  | SetBootWorkingDirectoryResponseMessage
  | GetCwdMapResponseMessage
  | SearchBranchesResponseMessage
  | CheckoutBranchResponseMessage
  | SecretListResponseMessage
  | SecretApplyResponseMessage
  | RemoveQueueItemResponseMessage;
