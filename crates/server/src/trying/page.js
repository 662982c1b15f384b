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

async function ask(output, path, options) {
  output.textContent = "…";
  try {
    const answer = await fetch(path, { ...options, cache: "no-store", credentials: "omit" });
    const text = await answer.text();
    let shown = text;
    try {
      shown = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // It is shown as it is.
    }
    output.textContent = `${answer.status} ${answer.statusText}\n${shown}`;
  } catch (error) {
    output.textContent = String(error);
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
    const keys = Object.entries(schema.properties ?? {}).map(([key, one]) => `${key}: ${one.description ?? ""}`);
    field(made, `${id}-body`, "Body", "JSON", body);
    made.append(element("pre", keys.join("\n")));
  }
  made.append(element("button", "Send"), output);
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    if (body) {
      const sent = headers({ "Content-Type": "application/json" });
      ask(output, path, { method: "POST", headers: sent, body: body.value });
    } else {
      ask(output, path + query(parameters, inputs), { method: "GET", headers: headers() });
    }
  });
  return made;
}

function section(path, method, operation) {
  const word = element("span", method.toUpperCase());
  word.className = "method";
  const summary = element("summary", "", [word, element("code", path), element("span", operation.summary)]);
  return element("details", "", [summary, form(path, method, operation)]);
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
}

document.getElementById("access").addEventListener("submit", (event) => {
  event.preventDefault();
  load();
});
load();
