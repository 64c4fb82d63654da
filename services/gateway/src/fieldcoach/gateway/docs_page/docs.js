// Renders /openapi.json; texts go in as text nodes only.
"use strict";

function make(tag, text, ...children) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  node.append(...children);
  return node;
}

function table(title, rows) {
  const body = make("table");
  for (const [name, about] of rows) body.append(make("tr", "", make("td", name), make("td", about)));
  return rows.length ? [make("h4", title), body] : [];
}

function resolve(doc, schema) {
  return schema && schema.$ref ? doc.components.schemas[schema.$ref.split("/").pop()] : schema;
}

function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" | ");
  if (schema.type === "array") return `list of ${typeOf(schema.items || {})}`;
  return schema.type || "any";
}

function fields(doc, schema) {
  const found = resolve(doc, schema) || {};
  const required = new Set(found.required || []);
  return Object.entries(found.properties || {}).map(([name, field]) => [
    required.has(name) ? `${name} *` : name,
    [typeOf(field), field.description].filter(Boolean).join(": "),
  ]);
}

function content(doc, holder, title) {
  const parts = [];
  for (const [type, { schema, example }] of Object.entries((holder && holder.content) || {})) {
    const shown = example || (resolve(doc, schema) || {}).example;
    parts.push(...table(`${title} (${type})`, fields(doc, schema)));
    if (shown) parts.push(make("pre", typeof shown === "string" ? shown : JSON.stringify(shown, null, 2)));
  }
  return parts;
}

function operation(doc, path, method, item) {
  const head = make("summary", "", make("span", method.toUpperCase()), make("code", path));
  head.firstChild.className = "method";
  const what = make("span", `  ${item.summary || ""}`);
  what.className = "what";
  head.append(what);
  const tokens = (item.security || []).flatMap((entry) => Object.keys(entry)).join(", ");
  const answers = Object.entries(item.responses || {}).map(([status, { description }]) => [status, description]);
  const good = Object.entries(item.responses || {}).find(([status]) => status.startsWith("2"));
  return make(
    "details", "", head,
    make("p", item.description || ""),
    ...(tokens ? [make("p", `Token: ${tokens}`)] : []),
    ...table("Parameters", (item.parameters || []).map((p) => [`${p.name} (${p.in})`, p.description || ""])),
    ...content(doc, item.requestBody, "Request"),
    ...(good ? content(doc, good[1], `Answer ${good[0]}`) : []),
    ...table("Statuses", answers),
  );
}

async function show() {
  const doc = await (await fetch("/openapi.json")).json();
  document.getElementById("title").textContent = `${doc.info.title} ${doc.info.version}`;
  document.getElementById("about").textContent = doc.info.description || "";
  const groups = new Map();
  for (const [path, methods] of Object.entries(doc.paths)) {
    for (const [method, item] of Object.entries(methods)) {
      const tag = (item.tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, make("section", "", make("h2", tag)));
      groups.get(tag).append(operation(doc, path, method, item));
    }
  }
  document.getElementById("operations").replaceChildren(...groups.values());
}

show().catch((error) => {
  document.getElementById("operations").textContent = `Can't load /openapi.json: ${error.message}`;
});
