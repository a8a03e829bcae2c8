const { connect } = require("@letta/app-client-native");
const { MockServer } = require("@letta/app-client-native/testing");

test("answers under Jest", async () => {
  const mock = await MockServer.start([{ text: ["4", "2"] }]);
  const client = await connect(mock.url);
  const session = await client.session({ agentId: "agent-1" });
  expect((await session.run("What is six times seven?")).text).toBe("42");
  await client.close();
  await mock.close();
});
