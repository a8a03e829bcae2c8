import type { RuntimeScope, StandardSchemaV1 } from "@letta/app-client-native";
import { type Tool, type ToolContext, tool } from "@letta/app-client-native";

interface User {
  email: string;
}

type Props = StandardSchemaV1<User, { email: string; domain: string }>["~standard"];

/** A schema as libraries make them: it refuses what has no email, and splits the email. */
export function userSchema(props: Partial<Props> = {}) {
  return {
    "~standard": {
      version: 1,
      vendor: "byhand",
      validate: (value) => {
        const { email } = (value ?? {}) as Partial<User>;
        if (typeof email !== "string") {
          return { issues: [{ path: ["email"], message: "expected a text" }] };
        }
        return { value: { email, domain: email.split("@")[1] ?? "" } };
      },
      ...props,
    },
  } satisfies StandardSchemaV1<User, { email: string; domain: string }>;
}

/** The JSON schema of what that schema reads. */
export const jsonSchema = { type: "object", properties: { email: { type: "string" } } };

/** The conversation that calls. */
export const runtime: RuntimeScope = { agent_id: "a", conversation_id: "c" };

/** What a function gets besides its arguments. */
export const context = (
  signal: ToolContext["signal"] = new AbortController().signal,
): ToolContext => ({
  signal,
  callId: "call_1",
  runtime,
});

/** A tool of a function without parameters. */
export function plain(
  execute: (args: Record<string, unknown>, context: ToolContext) => unknown,
): Tool {
  const parameters = { type: "object", properties: {} };
  return tool({ name: "plain", description: "Does it", parameters, execute });
}

/** A result of a text. */
export const text = (words: string) => ({ content: [{ type: "text", text: words }] });

/** A result that is an error. */
export const failure = (words: unknown) => ({
  content: [{ type: "text", text: words }],
  is_error: true,
});
