// A function that the agent can call: it runs here, in this program, over data of its own.
import { connect, tool } from "@letta/app-client-native";
import { z } from "zod"; // or valibot, arktype, or a JSON schema

const url = process.env.LETTA_URL ?? "ws://127.0.0.1:4500";
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";
const createAgent = { body: { name: "helper", model }, pin_global: false };

const goods = [
  { item: "apple", color: "red", count: 12 },
  { item: "cherry", color: "red", count: 70 },
  { item: "lemon", color: "yellow", count: 5 },
];

const stock = tool({
  name: "stock",
  description: "Looks up what is in stock, with the count of each item",
  parameters: z.object({
    color: z.string().optional().describe("Only items of this color"),
    atLeast: z.number().default(0),
  }),
  execute: ({ color, atLeast }) => {
    console.log(`[stock: color=${color}, atLeast=${atLeast}]`);
    return goods.filter((row) => row.color === (color ?? row.color) && row.count >= atLeast);
  },
});

await using client = await connect(url);
await using session = await client.session({ createAgent, tools: [stock] });
const { text } = await session.run("Of which red fruit are there more than twenty?");
console.log(text);
