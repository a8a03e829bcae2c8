// An answer as data: the agent hands in what a schema describes, and is told what does not fit.
import { connect, StructuredOutputError } from "@letta/app-client-native";
import { z } from "zod"; // or valibot, arktype, or a JSON schema

const url = process.env.LETTA_URL ?? "ws://127.0.0.1:4500";
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";
const createAgent = { body: { name: "helper", model }, pin_global: false };

const outputSchema = z.object({
  file: z.string(),
  line: z.number().int().positive(),
  why: z.string().describe("One sentence"),
});

await using client = await connect(url);
await using session = await client.session({ createAgent });
try {
  const { output } = await session.run("Find the worst bug in this folder.", { outputSchema });
  console.log(`${output.file}:${output.line}: ${output.why}`);
} catch (error) {
  if (!(error instanceof StructuredOutputError)) throw error;
  console.log(`[no usable answer: ${error.errors.join("; ") || error.message}]`);
  console.log(error.text);
}
