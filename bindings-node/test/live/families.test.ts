/** The families of commands that work without the cloud, on a real server. */

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type RuntimeScope, rawText } from "@letta/app-client-native";
import { beforeAll, describe, expect, it } from "vitest";
import { collected, say } from "../helpers.js";
import { LiveServer, within } from "./harness.js";

const live = LiveServer.forFile();
let runtime: RuntimeScope;

beforeAll(async () => {
  runtime = await live.newRuntime({ mode: "unrestricted" });
});

const inProject = (...names: string[]) => path.join(live.info.cwd, ...names);
const ok = { success: true };

/** The id of a REST body. */
const idOf = (body: { id?: unknown } | null | undefined) => String(body?.id);

describe("agents", () => {
  it("are created, listed, changed and deleted", async () => {
    const { agents } = live.client;
    const { model } = live.info;
    const made = await agents.create({ body: { name: "first", model } });
    expect(made).toMatchObject({ type: "agent_create_response", ...ok, agent: { name: "first" } });
    const agent_id = idOf(made.agent);
    const second = await agents.create({ body: { name: "second", model } });
    const update = await agents.update({ agent_id, body: { name: "renamed" } });
    expect(update).toMatchObject({ ...ok, agent: { id: agent_id, name: "renamed" } });
    expect(await agents.retrieve({ agent_id })).toMatchObject({ agent: { name: "renamed" } });
    const { agents: some } = await agents.list({ query: { limit: 1 } });
    expect(some).toHaveLength(1);
    const all = await collected(agents.all({ pageSize: 1 }));
    expect(all.map(idOf)).toEqual(
      expect.arrayContaining([agent_id, idOf(second.agent), runtime.agent_id]),
    );
    expect(new Set(all.map(idOf)).size).toBe(all.length);
    expect(await agents.delete({ agent_id })).toMatchObject(ok);
    const gone = await agents.retrieve({ agent_id });
    expect(gone).toMatchObject({ success: false, agent: null, error: expect.any(String) });
  });

  it("are created from presets", async () => {
    const { model } = live.info;
    const made = await live.client.agents.createFromPreset({ personality: "memo", model });
    expect(made).toMatchObject({ type: "create_agent_response", ...ok });
  });
});

describe("conversations", () => {
  it("are created, listed, changed and forked", async () => {
    const { conversations } = live.client;
    const { agent_id } = runtime;
    const made = await conversations.create({ body: { agent_id } });
    const conversation_id = idOf(made.conversation);
    const body = { summary: "About nothing" };
    expect(await conversations.update({ conversation_id, body })).toMatchObject(ok);
    const found = await conversations.retrieve({ conversation_id });
    expect(found.conversation).toMatchObject({ id: conversation_id, agent_id, ...body });
    const fork = await conversations.fork({ conversation_id });
    const { conversations: listed } = await conversations.list({ query: { agent_id } });
    const all = await collected(conversations.all({ query: { agent_id }, pageSize: 1 }));
    expect(all.map(idOf)).toEqual(listed.map(idOf));
    expect(all.map(idOf)).toEqual(
      expect.arrayContaining([conversation_id, idOf(fork.conversation), runtime.conversation_id]),
    );
    const missing = await conversations.retrieve({ conversation_id: "conv-missing" });
    expect(missing).toMatchObject({ success: false, conversation: null });
  });

  it("give their messages page by page, newest first", async () => {
    const { client } = live;
    const { conversation_id } = runtime;
    for (const text of ["N=1", "N=2", "N=3"]) await client.runTurn({ runtime, payload: say(text) });
    const whole = await client.conversations.listMessages({ conversation_id });
    expect(whole).toMatchObject({ ...ok, has_more: false });
    const pages = await collected(client.conversations.messages(conversation_id, { pageSize: 2 }));
    expect(pages.map(idOf)).toEqual(whole.messages.map(idOf));
    expect(pages).toHaveLength(6);
    expect(JSON.stringify(pages[0])).toContain("tok2");
    const before = idOf(pages[3]);
    const older = await collected(client.conversations.messages(conversation_id, { before }));
    expect(older.map(idOf)).toEqual(pages.slice(4).map(idOf));
    const compacted = await client.conversations.compact({ conversation_id });
    expect(compacted).toMatchObject({ ...ok, compaction: expect.any(Object) });
    expect(await client.conversations.recompile({ conversation_id })).toMatchObject(ok);
  });
});

it("models and toolsets", async () => {
  const { models } = live.client;
  const { model } = live.info;
  const { entries } = await models.list({ force: true });
  expect(entries.length).toBeGreaterThan(0);
  const payload = { model_handle: model };
  expect(await models.update({ runtime, payload })).toMatchObject({ ...ok, model_handle: model });
  expect(await models.updateToolset({ runtime, toolset_preference: "default" })).toMatchObject({
    ...ok,
    current_toolset_preference: "default",
  });
});

it("files are written, read, searched, changed and listed", async () => {
  const { files } = live.client;
  const [file, folder] = [inProject("haystack", "needle.txt"), inProject("haystack")];
  mkdirSync(inProject("haystack", "inner"), { recursive: true });
  expect(await files.write({ path: file, content: "a needle\n" })).toMatchObject(ok);
  expect(await files.read({ path: file })).toMatchObject({ ...ok, content: "a needle\n" });
  const edit = { file_path: file, old_string: "needle", new_string: "pin" };
  expect(await files.edit(edit)).toMatchObject({ ...ok, replacements: 1 });
  const grep = await files.grep({ query: "a pin", cwd: folder });
  expect(grep.matches).toMatchObject([{ path: "needle.txt", line: 1, text: "a pin" }]);
  const search = await files.search({ query: "needle", cwd: folder });
  expect(search.files).toEqual([{ path: "needle.txt", type: "file" }]);
  const tree = await files.tree({ path: folder, depth: 1 });
  expect(tree.entries).toEqual(
    expect.arrayContaining([
      { path: "inner", type: "dir" },
      { path: "needle.txt", type: "file" },
    ]),
  );
  const missing = await files.read({ path: inProject("missing.txt") });
  expect(missing).toMatchObject({ success: false, content: null });
  for (const name of ["1", "2", "3"]) writeFileSync(path.join(folder, name), name);
  expect(await collected(files.entries(folder, { pageSize: 2 }))).toEqual([
    { name: "inner", kind: "folder" },
    ...["1", "2", "3", "needle.txt"].map((name) => ({ name, kind: "file" })),
  ]);
});

it("files are watched", async () => {
  const { files } = live.client;
  const file = inProject("watched.txt");
  writeFileSync(file, "before");
  await using changes = files.changes(file);
  // Nothing says that watching is on; the server is asked a few things, which take it longer.
  for (const depth of [1, 2, 3]) await files.tree({ path: live.info.cwd, depth });
  const change = changes.next();
  writeFileSync(file, "after");
  const { value } = await within(10_000, change);
  expect(value).toMatchObject({ type: "file_changed", path: file });
  expect(value?.lastModified).toBeGreaterThan(0);
});

it("memory is written, listed as a whole, read, and has a history", async () => {
  const { memory } = live.client;
  const { agent_id } = runtime;
  expect(await memory.enable({ agent_id })).toMatchObject(ok);
  // More than the five that the server puts into one frame.
  const names = Array.from({ length: 7 }, (_, at) => `notes/${at}.md`);
  for (const name of names) {
    const written = await memory.write({ agent_id, path: name, content: `note ${name}` });
    expect(written).toMatchObject({ ...ok, committed: true, commit_sha: expect.any(String) });
  }
  const { entries, done, total } = await memory.list({ agent_id });
  expect(entries.map(({ relative_path }) => relative_path)).toEqual(expect.arrayContaining(names));
  expect({ done, total }).toEqual({ done: true, total: entries.length });
  const [file_path = ""] = names;
  expect(await memory.read({ agent_id, path: file_path })).toMatchObject({
    content: `note ${file_path}`,
  });
  const { commits } = await memory.history({ agent_id, file_path });
  const sha = commits[0]?.sha ?? "";
  expect(await memory.fileAtRef({ agent_id, file_path, ref: sha })).toMatchObject({
    content: `note ${file_path}`,
  });
  expect((await memory.commitDiff({ agent_id, sha })).diff).toContain(file_path);
  const gone = await memory.delete({ agent_id, path: file_path });
  expect(gone).toMatchObject({ ...ok, committed: true });
  const again = await memory.delete({ agent_id, path: file_path });
  expect(again).toMatchObject({ ...ok, committed: false });
});

it("prompts are scheduled, triggered and have runs", async () => {
  const { cron } = live.client;
  const { agent_id } = runtime;
  const plan = { name: "new year", description: "d", cron: "0 0 1 1 *", prompt: "N=1" };
  const added = await cron.add({ agent_id, ...plan, recurring: true });
  const task_id = added.task?.id ?? "";
  expect(added).toMatchObject({ ...ok, task: { ...plan, status: "active" } });
  expect(await cron.get({ task_id })).toMatchObject({ found: true, task: { id: task_id } });
  expect(await cron.update({ task_id, name: "renamed" })).toMatchObject({
    task: { name: "renamed" },
  });
  const { tasks } = await cron.list({ agent_id });
  expect(tasks.map(({ id }) => id)).toEqual([task_id]);
  for (let count = 0; count < 3; count += 1) {
    expect(await cron.trigger({ task_id })).toMatchObject({ found: true });
  }
  const whole = await cron.runs({ task_id });
  expect(whole.page).toMatchObject({ total: 3, hasMore: false });
  const runs = await collected(cron.allRuns(task_id, { pageSize: 2 }));
  expect(runs).toEqual(whole.page?.entries);
  expect(await cron.delete({ task_id })).toMatchObject({ found: true });
  expect(await cron.get({ task_id })).toMatchObject({ found: false, task: null });
  expect(await cron.deleteAll({ agent_id })).toMatchObject({ agent_id, deleted: 0 });
  expect(await cron.add({ agent_id, ...plan, cron: "never", recurring: true })).toMatchObject({
    success: false,
  });
});

describe("terminals", () => {
  it("run, and give all of their output and their exit code", async () => {
    await using terminal = await live.client.terminals.open({ cols: 100, cwd: live.info.cwd });
    expect(terminal.pid).toBeGreaterThan(0);
    terminal.resize(120, 40);
    terminal.write("pwd; echo $((40 + 2)); stty size\n");
    let output = "";
    const read = async () => {
      let told = false;
      for await (const piece of terminal) {
        output += piece;
        if (told || !/^40 120\r$/m.test(output)) continue;
        // Not before: of a shell that ends at once the server may lose the output.
        terminal.write("exit 3\n");
        told = true;
      }
    };
    await within(20_000, read());
    expect(output).toContain(`${live.info.cwd}\r\n`);
    expect(output).toMatch(/^42\r$/m);
    expect(terminal.exitCode).toBe(3);
  });

  it("are killed, and tell no exit then", async () => {
    const [first, second] = await Promise.all([
      live.client.terminals.open(),
      live.client.terminals.open(),
    ]);
    for await (const _ of first) break;
    first.kill();
    await within(10_000, collected(first));
    expect(first.exitCode).toBeNull();
    // The other one lives.
    second.write("exit 4\n");
    await within(20_000, collected(second));
    expect(second.exitCode).toBe(4);
  });
});

it("settings", async () => {
  const { settings } = live.client;
  const { experiments } = await settings.getExperiments();
  const experiment_id = "conversation_titles";
  expect(experiments.map(({ id }) => id)).toContain(experiment_id);
  const changed = await settings.setExperiment({ experiment_id, enabled: true });
  expect(changed.experiments.find(({ id }) => id === experiment_id)?.enabled).toBe(true);
  await settings.setExperiment({ experiment_id, enabled: false });
  const chosen = { trigger: "step-count" as const, step_count: 7 };
  const scope = "local_project";
  const set = await settings.setReflection({ runtime, settings: chosen, scope });
  expect(set).toMatchObject({ ...ok, scope, reflection_settings: chosen });
  const { reflection_settings } = await settings.getReflection({ runtime });
  expect(reflection_settings).toMatchObject(chosen);
  const cwd = live.info.cwd;
  expect(await settings.setBootWorkingDirectory({ cwd })).toMatchObject(ok);
  expect(await settings.getCwdMap()).toMatchObject({ ...ok, boot_working_directory: cwd });
});

it("skills are enabled and disabled", async () => {
  const { skills } = live.client;
  const skill_path = inProject("skills-source", "juggling");
  mkdirSync(skill_path, { recursive: true });
  const text = "---\nname: juggling\ndescription: Throws three balls\n---\nThrow them.\n";
  writeFileSync(path.join(skill_path, "SKILL.md"), text);
  const enabled = await skills.enable({ skill_path });
  expect(enabled).toMatchObject({ ...ok, name: "juggling" });
  expect(await skills.disable({ name: "juggling" })).toMatchObject(ok);
  const again = await skills.disable({ name: "juggling" });
  expect(again).toMatchObject({ success: false, error: expect.any(String) });
});

it("branches of a repository", async () => {
  const { git } = live.client;
  const cwd = inProject("repository");
  mkdirSync(cwd);
  const run = (...args: string[]) => execFileSync("git", args, { cwd });
  run("init", "--quiet", "--initial-branch=main");
  const author = ["-c", "user.name=n", "-c", "user.email=e@example.com"];
  run(...author, "commit", "--quiet", "--allow-empty", "--message=first");
  const made = await git.checkout({ branch: "side", create: true, cwd });
  expect(made).toMatchObject({ ...ok, branch: "side" });
  const { branches } = await git.searchBranches({ query: "", cwd });
  expect(branches.map(({ name }) => name).sort()).toEqual(["main", "side"]);
  expect(await git.checkout({ branch: "nowhere", cwd })).toMatchObject({ success: false });
});

it("secrets, providers, and the server itself", async () => {
  const { secrets, providers, server } = live.client;
  const { agent_id } = runtime;
  await secrets.apply({ agent_id, set: { KEY: "value" }, unset: [] });
  const list = await secrets.list({ agent_id });
  expect(list.secrets).toEqual([{ key: "KEY", value: "value" }]);
  const { providers: known } = await providers.list({ target: "local" });
  expect(known.length).toBeGreaterThan(0);
  const info = await server.info();
  expect(info.letta_code_version).toBe(live.info.version);
  expect(JSON.parse(rawText(info) ?? "")).toEqual(info);
});

it("runtimes, by typed requests", async () => {
  const { client } = live;
  const response = await client.request("sync", { runtime });
  expect(response.runtime).toMatchObject(runtime);
  const idle = await client.runtimes.abort({ runtime });
  expect(idle).toMatchObject({ type: "abort_message_response", aborted: false });
  const reader = client.messages({ types: ["update_device_status"], runtime });
  client.runtimes.changeDeviceState({ runtime, payload: { mode: "acceptEdits" } });
  for await (const { device_status } of reader) {
    if (device_status.current_permission_mode === "acceptEdits") break;
  }
});
