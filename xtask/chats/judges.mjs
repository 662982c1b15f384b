// Whether messages are such as chats take them, by what is published about that, and what people are shown of them.

import { isDeepStrictEqual } from "node:util";

import { Parser } from "commonmark";
import * as discord from "discord-api-spec/zod";
import { parse } from "discord-markdown-parser";
import ts from "typescript";

/** Each kind of message, as a type of the libraries that send such messages. */
const TYPES = `
import type { ApiMethods } from "@grammyjs/types";
import type { KnownBlock } from "@slack/types";
import type { IncomingWebhookSendArguments } from "@slack/webhook";
type Telegram<Name extends keyof ApiMethods<never>> = Parameters<ApiMethods<never>[Name]>[0];
type telegram_send = Telegram<"sendMessage">;
type telegram_edit = Telegram<"editMessageText">;
// The first three are no part of a message, and a block that is none of those that are known could hold anything.
type Unsent = "fetch" | "timeout" | "retryConfig" | "blocks";
type slack = Omit<IncomingWebhookSendArguments, Unsent> & { blocks?: KnownBlock[] };
// It says that it takes what Slack takes, but neither blocks nor what is about links.
type mattermost = Pick<slack, "text" | "username" | "icon_url" | "icon_emoji" | "channel" | "attachments">;
`;
/** Each kind of message, as Discord describes its interface. */
const SCHEMAS = {
  discord_send: discord.IncomingWebhookRequestPartialSchema,
  discord_edit: discord.IncomingWebhookUpdateRequestPartialSchema,
};

/**
 * What is wrong with messages: for each of them, which are `{ kind, body }`, a complaint, or `null`.
 */
export function complaints(messages) {
  const typed = messages.filter(({ kind }) => !(kind in SCHEMAS));
  const said = new Map(typed.map((message, index) => [message, index]));
  const mistakes = mistyped(typed);
  return messages.map((message) => {
    const schema = SCHEMAS[message.kind];
    return schema ? refused(schema, message.body) : (mistakes.get(said.get(message)) ?? null);
  });
}

function refused(schema, body) {
  const read = schema.safeParse(body);
  if (!read.success) {
    return JSON.stringify(read.error.issues);
  }
  // What it does not know it leaves out.
  return isDeepStrictEqual(read.data, body) ? null : `only ${JSON.stringify(read.data)} of it is known`;
}

/** The mistakes that a compiler finds in messages, by the number of the message. */
function mistyped(messages) {
  const file = new URL("messages.ts", import.meta.url).pathname;
  const head = TYPES.split("\n").length - 1;
  const lines = messages.map(({ kind, body }, index) => `export const m${index}: ${kind} = ${JSON.stringify(body)};`);
  const options = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    noEmit: true,
    skipLibCheck: true,
    strict: true,
    target: ts.ScriptTarget.ES2022,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, TYPES + lines.join("\n"), ...rest) : getSourceFile(name, ...rest);
  const program = ts.createProgram([file], options, host);
  const mistakes = new Map();
  for (const { file: source, start, messageText } of ts.getPreEmitDiagnostics(program)) {
    const said = ts.flattenDiagnosticMessageText(messageText, " ");
    const line = source?.fileName === file ? source.getLineAndCharacterOfPosition(start).line - head : -1;
    if (line < 0) {
      throw new Error(`the types of messages cannot be read: ${said}`);
    }
    mistakes.set(line, said);
  }
  return mistakes;
}

/** Messages like this one with one mistake each: a field that is not known, or a value of another type. */
export function* mistaken({ kind, body }) {
  for (const wrong of mistakes(body)) {
    yield { kind, body: wrong };
  }
}

function* mistakes(value) {
  if (Array.isArray(value)) {
    yield "a word";
    for (const [index, item] of value.entries()) {
      for (const wrong of mistakes(item)) {
        yield value.map((other, at) => (at === index ? wrong : other));
      }
    }
  } else if (typeof value === "object") {
    yield { ...value, nonsense: 1 };
    for (const [name, item] of Object.entries(value)) {
      for (const wrong of mistakes(item)) {
        yield { ...value, [name]: wrong };
      }
    }
  } else {
    yield [{ nonsense: 1 }];
  }
}

/** What people are shown of a message; fails where something in it is markup or names somebody. */
export function shown({ kind, body }) {
  if (kind.startsWith("telegram")) {
    if (body.parse_mode || body.entities) {
      throw new Error(`something in it has a meaning: ${JSON.stringify(body)}`);
    }
    // It finds names in any text.
    return nameless(body.text);
  }
  if (kind.startsWith("discord")) {
    if (body.allowed_mentions?.parse?.length !== 0) {
      throw new Error("it may name somebody");
    }
    return parse(body.content, "normal").map(word).join("");
  }
  if (kind === "slack") {
    const [block, ...more] = body.blocks;
    if (more.length > 0 || block.text.type !== "plain_text" || block.text.text !== body.text) {
      throw new Error(`it is no plain text: ${JSON.stringify(body)}`);
    }
    const entities = { "&amp;": "&", "&lt;": "<", "&gt;": ">" };
    if (/[<>]|&(?!(amp|lt|gt);)/.test(body.text)) {
      throw new Error(`something in it has a meaning: ${body.text}`);
    }
    return body.text.replace(/&(amp|lt|gt);/g, (entity) => entities[entity]);
  }
  return nameless(markdown(body.text));
}

function nameless(text) {
  if (/@(?!\u200b)/.test(text)) {
    throw new Error(`it may name somebody: ${text}`);
  }
  return text.replaceAll("@\u200b", "@");
}

/** A part of what Discord reads. */
function word({ type, content, name }) {
  switch (type) {
    case "text":
      return content;
    case "br":
      return "\n";
    case "twemoji":
      return name;
    // These are shown as they are, and call nobody where nothing may be named.
    case "everyone":
    case "here":
      return `@${type}`;
    default:
      throw new Error(`there is markup in it: ${type} ${JSON.stringify(content)}`);
  }
}

function markdown(text) {
  let said = "";
  const walker = new Parser().parse(text).walker();
  for (let event = walker.next(); event; event = walker.next()) {
    const { type, literal } = event.node;
    if (type === "text") {
      said += literal;
    } else if (type === "softbreak") {
      said += "\n";
    } else if (type !== "document" && type !== "paragraph") {
      throw new Error(`there is markup in it: ${type} in ${text}`);
    }
  }
  return said;
}
