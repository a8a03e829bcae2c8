// A server of your own: started on a free port with a token, ended with this program.
import { connect, spawnAppServer } from "@letta/app-client-native";

const command = process.env.LETTA_COMMAND?.split(" ") ?? ["letta", "server"];
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";
const createAgent = { body: { name: "helper", model }, pin_global: false };

await using server = await spawnAppServer({ command });
console.log(`[${server.url}, ${server.joined ? "joined" : "started"}]`);
await using client = await connect(server);
await using session = await client.session({ createAgent, cwd: "." });
const { text } = await session.run("Which files are here?");
console.log(text);
