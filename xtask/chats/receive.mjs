// Lets the program send alerts to chats, and reads them with what others wrote for that; run by `cargo xtask test`.
//
// Usage: receive.mjs PROGRAM. Telegram is a simulator of its interface; the others are servers here that answer as theirs
// do. Whatever is not as it should be ends this with a failure.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import TelegramServer from "telegram-test-api";

import { complaints, mistaken, shown } from "./judges.mjs";

const TOKEN = "123456:telegram-secret";
const CHAT = "-1001234567890";
/** The name of a file, with all that one chat or another takes for markup, a link or a mention. */
const NAME =
  "*bold* **b** <b>b<b> _i_ [x](y) ~~s~~ `c` ||p|| @everyone @here @ann <@42> <@&7> <!channel> <a|b> <#C1|x> :x: $a$ #h &lt; ~town.md";
const CONFIG = `version: "1.0"
node: { name: helios }
alerts:
  gather: 1s
  calm: 1s
  conflict_after: 1s
  stale_after: 1d
  disk_free_percent: 0
  memory_free_percent: 0
  channels:
    telegram: { kind: telegram, token: "\${env:TELEGRAM_TOKEN}", chat: "${CHAT}", base_url: "\${env:TELEGRAM}" }
    discord: { kind: discord, webhook: "\${env:DISCORD}" }
    slack: { kind: slack, webhook: "\${env:SLACK}" }
    mattermost: { kind: mattermost, webhook: "\${env:MATTERMOST}" }
targets:
  main:
    path: shared
    schedule: every 1s
    remote: { kind: folder, path: ../remote }
    conflicts: [{ match: "**", policy: manual }]
`;
/** How long anything may take: long, since only a failure waits for it. */
const PATIENCE_MS = 120_000;

/** Everything that was received, as `{ kind, body }`. */
const received = [];

function kinds(name) {
  return received.filter(({ kind }) => kind.startsWith(name));
}

async function eventually(what, condition) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `${what}: never, but ${JSON.stringify(received)}`);
    await pause(50);
  }
}

/** A server on a port of its own; `answer` gets a request and its body, and returns `[status, answer]`. */
async function listen(answer) {
  const server = createServer(async (request, response) => {
    const body = [];
    for await (const chunk of request) {
      body.push(chunk);
    }
    try {
      assert.equal(request.headers["content-type"], "application/json");
      const [status, text] = await answer(request, JSON.parse(Buffer.concat(body).toString()));
      response.writeHead(status).end(text);
    } catch (error) {
      received.push({ kind: "trouble", body: String(error) });
      response.writeHead(500).end();
    }
  });
  await new Promise((resolve, reject) => server.listen(0, "127.0.0.1", resolve).once("error", reject));
  return { address: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}

/** The simulator of Telegram. It must be told its port, so that one that was free may be taken by somebody else. */
async function startTelegram() {
  for (let tries = 1; ; tries += 1) {
    const { address, stop } = await listen(() => [404, ""]);
    stop();
    // By default it forgets what is older than a minute.
    const telegram = new TelegramServer({ port: Number(new URL(address).port), host: "127.0.0.1", storeTimeout: 86_400 });
    try {
      await telegram.start();
      return telegram;
    } catch (error) {
      assert.ok(error.code === "EADDRINUSE" && tries < 10, error);
    }
  }
}

/** What stands before the simulator, and sees what it is sent. */
function beforeTelegram(telegram) {
  return listen(async (request, body) => {
    const methods = { sendMessage: "telegram_send", editMessageText: "telegram_edit" };
    const kind = methods[request.url.split("/").at(-1)] ?? `trouble with ${request.url}`;
    const answer = await fetch(telegram.config.apiURL + request.url, {
      method: request.method,
      headers: { "content-type": request.headers["content-type"] },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    received.push({ kind, body });
    return [answer.status, text];
  });
}

/** A channel in Discord, whose messages have names if one waits for them. */
function likeDiscord() {
  const names = [];
  return listen((request, body) => {
    const { pathname, searchParams } = new URL(request.url, "http://localhost");
    const name = pathname.match(/^\/api\/webhooks\/1\/secret\/messages\/(\d+)$/)?.[1];
    if (request.method === "PATCH" && names.includes(name)) {
      received.push({ kind: "discord_edit", body });
      return [200, JSON.stringify({ id: name })];
    }
    assert.equal(`${request.method} ${pathname}`, "POST /api/webhooks/1/secret");
    received.push({ kind: "discord_send", body });
    names.push(String(1_000 + names.length));
    return searchParams.get("wait") === "true" ? [200, JSON.stringify({ id: names.at(-1) })] : [204, ""];
  });
}

function likeSlack(kind) {
  return listen((request, body) => {
    assert.equal(`${request.method} ${request.url}`, "POST /services/secret");
    received.push({ kind, body });
    return [200, "ok"];
  });
}

/** Runs the program to its end. */
function run(place, expected, ...args) {
  const options = { cwd: place.workspace, env: place.environment, timeout: PATIENCE_MS };
  return new Promise((resolve, reject) => {
    execFile(place.program, args, options, (error, stdout, stderr) => {
      const said = `${args.join(" ")}: ${stdout}${stderr}`;
      const code = error ? error.code : 0;
      const isRight = code === expected && !said.includes("secret");
      isRight ? resolve(stdout) : reject(new Error(`it ended with ${code} instead of ${expected}, or told: ${said}`));
    });
  });
}

/** A test message arrives in each chat. */
async function test(place, telegram) {
  await run(place, 0, "alerts", "test");
  assert.deepEqual(received.map(({ kind }) => kind).sort(), ["discord_send", "mattermost", "slack", "telegram_send"]);
  const texts = received.map(shown);
  // Each is made for itself, at its own time.
  const untimed = texts.map((text) => text.replace(/\d{4}-\d\d-\d\dT[\d:]{8}Z/g, "then"));
  assert.equal(new Set(untimed).size, 1, `all chats show the same: ${texts}`);
  assert.match(texts[0], /^Syncline on helios: over\n✅ this is a test: nothing is wrong \(since /);
  const [sent, ...more] = telegram.getUpdatesHistory(TOKEN);
  const told = received.find(({ kind }) => kind === "telegram_send").body.text;
  assert.deepEqual([sent.message.chat_id, sent.message.text, more.length], [CHAT, told, 0]);
}

/** A conflict over a file with a name like that. */
async function conflict(place) {
  const [local, remote] = [join(place.workspace, "shared"), join(place.folder, "remote")];
  await mkdir(local);
  await mkdir(remote);
  await writeFile(join(local, NAME), "first\n");
  await run(place, 0, "run");
  await writeFile(join(local, NAME), "here\n");
  await writeFile(join(remote, NAME), "there\n");
  await run(place, 5, "run");
}

/** What is wrong is told once, acknowledged, and told as over: in the same message where that can be. */
async function serve(place, telegram) {
  const before = received.length;
  const has = (name, count) => kinds(name).length >= count;
  await eventually("it is told everywhere", () =>
    has("telegram", 2) && has("discord", 2) && has("slack", 2) && has("mattermost", 2));
  const told = received.slice(before).map(shown);
  assert.equal(new Set(told).size, 1, `all chats show the same: ${told}`);
  assert.ok(told[0].startsWith(`Syncline on helios\n🟠 main: the conflict at ${NAME} is open for `), told[0]);
  const sent = structuredClone(telegram.getUpdatesHistory(TOKEN).at(-1));
  assert.equal(sent.message.text.replaceAll("\u200b", ""), told[0]);
  const id = JSON.parse(await run(place, 0, "alerts", "--format", "json")).alerts[0].id;
  await run(place, 0, "alerts", "ack", String(id), "--note", "on it");
  const { conflicts } = JSON.parse(await run(place, 0, "conflicts", "--format", "json"));
  await run(place, 0, "conflicts", "resolve", conflicts[0].id, "--take", "local");
  await eventually("its end is told everywhere", () =>
    has("telegram", 3) && has("discord", 3) && has("slack", 3) && has("mattermost", 3));
  const kindsAfter = received.slice(before + 4).map(({ kind }) => kind).sort();
  assert.deepEqual(kindsAfter, ["discord_edit", "mattermost", "slack", "telegram_edit"]);
  const over = received.slice(before + 4).map(shown);
  assert.equal(new Set(over).size, 1, `all chats show the same: ${over}`);
  assert.ok(over[0].startsWith(`Syncline on helios: over\n✅ main: the conflict at ${NAME} is open for `), over[0]);
  const history = telegram.getUpdatesHistory(TOKEN);
  assert.equal(history.length, 2, "the test message, and one about the conflict");
  assert.equal(history[1].messageId, sent.messageId);
  assert.equal(history[1].message.text.replaceAll("\u200b", ""), over[0]);
}

/** Everything that was received is such as it must be, and the judges find every mistake in it that there could be. */
function judge() {
  const wrong = received.flatMap((message) => [...mistaken(message)]);
  assert.ok(wrong.length > 5 * received.length, "there are mistakes to be found");
  const found = complaints([...received, ...wrong]);
  received.forEach((message, index) => assert.equal(found[index], null, `${found[index]}: ${JSON.stringify(message)}`));
  wrong.forEach((message, index) => {
    assert.notEqual(found[received.length + index], null, `no mistake was found in ${JSON.stringify(message)}`);
  });
}

async function main(program) {
  const folder = await mkdtemp(join(tmpdir(), "chats-"));
  const telegram = await startTelegram();
  const servers = await Promise.all([beforeTelegram(telegram), likeDiscord(), likeSlack("slack"), likeSlack("mattermost")]);
  const [before, discord, slack, mattermost] = servers.map(({ address }) => address);
  const environment = {
    ...process.env,
    TELEGRAM_TOKEN: TOKEN,
    TELEGRAM: before,
    DISCORD: `${discord}/api/webhooks/1/secret`,
    SLACK: `${slack}/services/secret`,
    MATTERMOST: `${mattermost}/services/secret`,
  };
  const place = { program, folder, workspace: join(folder, "workspace"), environment };
  let serving;
  try {
    await mkdir(place.workspace);
    await writeFile(join(place.workspace, "syncline.yaml"), CONFIG);
    await test(place, telegram);
    await conflict(place);
    let said = "";
    serving = spawn(program, ["serve", "--listen", "127.0.0.1:0"], { cwd: place.workspace, env: environment });
    serving.stdout.on("data", (data) => (said += data));
    serving.stderr.on("data", (data) => (said += data));
    const ended = new Promise((resolve) => serving.once("close", resolve));
    await serve(place, telegram).catch((error) => assert.fail(`${error.stack}\n${said}`));
    serving.kill("SIGTERM");
    assert.equal(await ended, 0, said);
    assert.ok(!said.includes("secret"), said);
    judge();
  } finally {
    serving?.kill("SIGKILL");
    servers.forEach(({ stop }) => stop());
    await telegram.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

main(process.argv[2]).catch((error) => {
  // Whoever started this shows the last lines.
  console.error(error.stack);
  console.error(String(error.message).replaceAll("\n", " ").slice(0, 2_000));
  process.exitCode = 1;
});
