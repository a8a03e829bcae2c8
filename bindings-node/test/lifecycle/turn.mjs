/** A program with a turn that never closes its client: `turn.mjs URL WAY`. */

import { connect } from "@letta/app-client-native";

const [url, way] = process.argv.slice(2);
const client = await connect(url);
client.onMessage((message) => {
  if (message.type === "turn_finished") console.log("finished");
});
const { runtime } = await client.runtimeStart({ agent_id: "a", mode: "standard" });
const payload = { kind: "create_message", messages: [{ role: "user", content: "?" }] };

switch (way) {
  case "awaited":
    console.log((await client.sendTurn({ runtime, payload })).status);
    break;
  case "followed":
    for await (const event of client.sendTurn({ runtime, payload })) {
      if (event.type === "finished") console.log(event.result.status);
    }
    break;
  case "left alone":
  case "failing, never awaited":
    client.sendTurn({ runtime, payload });
    break;
  case "failing, followed": {
    const turn = client.sendTurn({ runtime, payload });
    turn.then(
      () => console.log("resolved"),
      (error) => console.log(error.code),
    );
    try {
      for await (const _ of turn);
    } catch (error) {
      console.log(error.code);
    }
    break;
  }
  case "left early":
    for await (const event of client.sendTurn({ runtime, payload })) {
      if (event.type === "assistant_delta") break;
    }
    break;
  case "detached": {
    const turn = client.sendTurn({ runtime, payload });
    for await (const event of turn) {
      if (event.type === "assistant_delta") turn.detach();
    }
    break;
  }
  default:
    throw new Error(`unknown way ${way}`);
}
