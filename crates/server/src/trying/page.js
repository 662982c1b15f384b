// Everything that comes from the server is put in as text, never as HTML. The token is in this page alone, and gone with it.
"use strict";

function element(name, text, children = []) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function headers(more = {}) {
  const token = document.getElementById("token").value.trim();
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

function query(parameters, inputs) {
  const search = new URLSearchParams();
  parameters.forEach((parameter, index) => {
    // One value on each line: a list repeats its key.
    for (const line of inputs[index].value.split("\n")) {
      if (line.trim()) search.append(parameter.name, line.trim());
    }
  });
  const text = search.toString();
  return text ? `?${text}` : "";
}

// What comes of a request; events are shown as they come, until `signal` says that they are no longer wanted.
async function ask(output, path, options, signal) {
  output.textContent = "…";
  try {
    const answer = await fetch(path, { ...options, signal, cache: "no-store", credentials: "omit" });
    const head = `${answer.status} ${answer.statusText}\n`;
    if (answer.headers.get("Content-Type")?.startsWith("text/event-stream")) {
      await listen(output, head, answer.body.pipeThrough(new TextDecoderStream()).getReader());
      return;
    }
    const text = await answer.text();
    let shown = text;
    try {
      shown = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // It is shown as it is.
    }
    output.textContent = head + shown;
  } catch (error) {
    if (error.name === "AbortError") output.append("\nstopped");
    else output.textContent = String(error);
  }
}

// The last of what is heard; the page would grow for ever otherwise.
async function listen(output, head, reader) {
  let heard = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard = (heard + value).slice(-100_000);
    output.textContent = head + heard;
    output.scrollTop = output.scrollHeight;
  }
}

function field(form, id, name, note, control) {
  control.id = id;
  const label = element("label", name);
  label.htmlFor = id;
  form.append(label, element("small", note), control);
  return control;
}

function form(path, method, operation) {
  const made = element("form");
  const output = element("pre");
  const parameters = operation.parameters ?? [];
  const id = operation.operationId;
  const inputs = method !== "get" ? [] : parameters.map((parameter) => {
    const name = parameter.required ? `${parameter.name} (required)` : parameter.name;
    const control = document.createElement("textarea");
    control.rows = 1;
    return field(made, `${id}-${parameter.name}`, name, parameter.description ?? "", control);
  });
  let body = null;
  if (method === "post") {
    body = document.createElement("textarea");
    body.rows = 5;
    body.value = "{}";
    body.spellcheck = false;
    const schema = operation.requestBody.content["application/json"].schema;
    const keys = Object.entries(schema.properties ?? {});
    const known = keys.flatMap(([key, one]) => [element("dt", key), element("dd", one.description ?? "")]);
    field(made, `${id}-body`, "Body", "JSON", body);
    made.append(element("dl", "", known));
  }
  const [send, stop] = [element("button", "Send"), element("button", "Stop")];
  stop.type = "button";
  stop.hidden = true;
  let asking = null;
  stop.addEventListener("click", () => asking.abort());
  made.append(send, stop, output);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    asking = new AbortController();
    [send.disabled, stop.hidden] = [true, false];
    if (body) {
      const sent = headers({ "Content-Type": "application/json" });
      await ask(output, path, { method: "POST", headers: sent, body: body.value }, asking.signal);
    } else {
      await ask(output, path + query(parameters, inputs), { method: "GET", headers: headers() }, asking.signal);
    }
    [send.disabled, stop.hidden] = [false, true];
  });
  return made;
}

function section(path, method, operation) {
  const word = element("span", method.toUpperCase());
  word.className = "method";
  const summary = element("summary", "", [word, element("code", path), element("span", operation.summary)]);
  const made = element("details", "", [summary, form(path, method, operation)]);
  made.id = operation.operationId;
  return made;
}

async function load() {
  const told = document.getElementById("told");
  const list = document.getElementById("operations");
  list.replaceChildren();
  const answer = await fetch("/openapi.json", { headers: headers(), cache: "no-store", credentials: "omit" });
  if (!answer.ok) {
    told.textContent = answer.status === 401 ? "A token is needed." : `The description cannot be had: ${answer.status}`;
    return;
  }
  const description = await answer.json();
  told.textContent = `${description.info.title} ${description.info.version}`;
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const method of ["get", "post"]) {
      if (methods[method]) list.append(section(path, method, methods[method]));
    }
  }
  show();
}

// Opens the use case that the address names, such as `/docs#start_run`.
function show() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named?.tagName !== "DETAILS") return;
  named.open = true;
  named.scrollIntoView();
}

window.addEventListener("hashchange", show);

document.getElementById("access").addEventListener("submit", (event) => {
  event.preventDefault();
  load();
});
load();
