//! The tools: the use cases of the list that say that they are ones.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use rmcp::model::{CallToolResult, ContentBlock, MetaObject, Tool, ToolAnnotations};
use serde_json::{Map, Value, json};
use syncline_service::{OPERATIONS, Operation, Problem, ToolHints};

use super::envelope::{self, Envelope, PROBLEM, wrapped};

/// What a client must be told of a tool that needs a plan.
const NEEDS_A_PLAN: &str = "Call it with `dry_run: true` first, show the user what would be done, and pass the `plan_hash` \
    of that answer; without it, or when something changed since, nothing is done.";
/// What to do about a plan that is none any more.
const ASK_AGAIN: &str = "Nothing was touched. Ask with `dry_run: true` again, show the user what would be done now, and \
    pass the new `plan_hash`.";

/// A use case as a tool.
pub(crate) struct Offer {
    pub(crate) operation: &'static Operation,
    pub(crate) hints: ToolHints,
    pub(crate) tool: Tool,
}

/// All tools, in the order of the list.
pub(crate) fn offers() -> &'static [Offer] {
    static OFFERS: OnceLock<Vec<Offer>> = OnceLock::new();
    OFFERS.get_or_init(|| OPERATIONS.iter().filter_map(offer).collect())
}

/// The tool of this name.
pub(crate) fn named(name: &str) -> Option<&'static Offer> {
    offers().iter().find(|offer| offer.tool.name == name)
}

fn offer(operation: &'static Operation) -> Option<Offer> {
    let hints = operation.tool?;
    let annotations = ToolAnnotations::new()
        .read_only(hints.read_only)
        .destructive(hints.destructive)
        .idempotent(hints.idempotent);
    let mut description = format!("{}.", operation.summary);
    if hints.needs_plan {
        description = format!("{description} {NEEDS_A_PLAN}");
    }
    let input = request_schema(operation, &hints);
    let output = members(envelope::schema((operation.response)().to_value()));
    let tool = Tool::new(hints.name.unwrap_or(operation.name), description, Arc::new(input))
        .with_raw_output_schema(Arc::new(output))
        .with_annotations(annotations);
    Some(Offer { operation, hints, tool })
}

/// The schema of the arguments: that of the request, without what is none of the tool's.
fn request_schema(operation: &Operation, hints: &ToolHints) -> Map<String, Value> {
    let mut schema = members((operation.request)().to_value());
    for field in hints.without {
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.remove(*field);
        }
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| name != field);
        }
    }
    schema.entry("type").or_insert_with(|| "object".into());
    schema.entry("properties").or_insert_with(|| json!({}));
    without_unused(&mut schema);
    schema
}

/// Removes definitions that nothing leads to any more: each costs a client room in its model's memory.
fn without_unused(schema: &mut Map<String, Value>) {
    let Some(Value::Object(definitions)) = schema.remove("$defs") else { return };
    let mut used = BTreeSet::new();
    let mut found = Vec::new();
    references(&Value::Object(schema.clone()), &mut found);
    while let Some(name) = found.pop() {
        if let Some(definition) = definitions.get(&name)
            && used.insert(name)
        {
            references(definition, &mut found);
        }
    }
    let kept: Map<String, Value> = definitions.into_iter().filter(|(name, _)| used.contains(name)).collect();
    if !kept.is_empty() {
        schema.insert("$defs".to_owned(), Value::Object(kept));
    }
}

/// The names of the definitions that a value leads to.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            let name =
                members.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"));
            found.extend(name.map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

impl Offer {
    /// Refuses arguments that are none of the tool's, and a deed whose plan the caller has not seen.
    ///
    /// # Errors
    /// When it is refused.
    pub(crate) fn admit(&self, arguments: &Map<String, Value>) -> Result<(), Problem> {
        let name = &self.tool.name;
        if let Some(field) = self.hints.without.iter().find(|field| arguments.contains_key(**field)) {
            let message = format!("`{name}` has no argument `{field}` here");
            return Err(Problem::usage("bad_request", message)
                .with_hint("only a person at a command line decides that"));
        }
        let is_dry = arguments.get("dry_run").is_some_and(|dry| *dry == Value::Bool(true));
        let was_seen = arguments.get("plan_hash").is_some_and(Value::is_string);
        if self.hints.needs_plan && !is_dry && !was_seen {
            let message = format!("`{name}` needs the `plan_hash` of what it is to do; nothing was done");
            return Err(Problem::usage("no_plan_hash", message).with_hint(NEEDS_A_PLAN));
        }
        Ok(())
    }

    /// What came of a call.
    pub(crate) fn answer(&self, result: Value) -> CallToolResult {
        let what = format!("What `{}` came to", self.tool.name);
        let Envelope { structured, text, meta } = wrapped(&what, result);
        let mut answer = CallToolResult::success(vec![ContentBlock::text(text)]);
        answer.structured_content = Some(structured);
        answer.meta = Some(MetaObject(meta));
        answer
    }

    /// A failure of the use case: its words may hold names of files.
    pub(crate) fn failed(&self, problem: &Problem) -> CallToolResult {
        let wire = serde_json::to_value(problem.to_wire()).unwrap_or_default();
        let advice = if problem.code == "plan_moved" { format!("{ASK_AGAIN} ") } else { String::new() };
        let what =
            format!("`{}` failed with the code `{}`. {advice}What is wrong", self.tool.name, problem.code);
        let Envelope { text, mut meta, .. } = wrapped(&what, wire.clone());
        meta.insert(PROBLEM.to_owned(), wire);
        let mut answer = CallToolResult::error(vec![ContentBlock::text(text)]);
        answer.meta = Some(MetaObject(meta));
        answer
    }
}

/// A call that reached no use case; all of it is said in our own words.
pub(crate) fn refused(problem: &Problem) -> CallToolResult {
    let hint = problem.hint.as_deref().map(|hint| format!("\n{hint}")).unwrap_or_default();
    let mut answer =
        CallToolResult::error(vec![ContentBlock::text(format!("{}: {problem}{hint}", problem.code))]);
    let mut meta = Map::new();
    meta.insert(PROBLEM.to_owned(), serde_json::to_value(problem.to_wire()).unwrap_or_default());
    answer.meta = Some(MetaObject(meta));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_tell_the_facts_about_themselves() {
        let mut names = BTreeSet::new();
        for Offer { operation, hints, tool } in offers() {
            assert!(names.insert(tool.name.clone()), "{} stands twice", tool.name);
            let told = tool.annotations.as_ref().unwrap();
            assert_eq!(
                (told.read_only_hint, told.destructive_hint),
                (Some(hints.read_only), Some(hints.destructive))
            );
            assert!(!(hints.read_only && hints.destructive), "{}", tool.name);
            let properties = tool.input_schema["properties"].as_object().unwrap();
            for field in hints.without {
                assert!(!properties.contains_key(*field), "{} has {field}", tool.name);
                let all = (operation.request)().to_value();
                assert!(all["properties"].get(field).is_some(), "{} never had {field}", tool.name);
            }
            let mut found = Vec::new();
            references(&Value::Object(tool.input_schema.as_ref().clone()), &mut found);
            references(&Value::Object(tool.output_schema.clone().unwrap().as_ref().clone()), &mut found);
            let defined = |name: &String| {
                let of = |schema: &Map<String, Value>| {
                    schema.get("$defs").is_some_and(|all| all.get(name).is_some())
                };
                of(&tool.input_schema) || tool.output_schema.as_ref().is_some_and(|schema| of(schema))
            };
            assert!(found.iter().all(defined), "{}: {found:?}", tool.name);
        }
        for name in
            ["sync_trigger", "sync_status", "sync_history", "plan", "drift", "conflicts", "conflict_resolve"]
        {
            assert!(names.contains(name), "{name} is not in {names:?}");
        }
        assert!(!tool_size("sync_trigger").contains("PlannedStep"), "a saved plan is none of a tool's");
    }

    #[test]
    fn the_guide_names_every_tool_and_no_other() {
        let page = include_str!("../../../../docs/src/mcp.md");
        let (_, section) = page.split_once("## Tools\n").unwrap();
        let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
        let cells = rows.map_while(|row| row.strip_prefix('|')?.split('|').next());
        let told: BTreeSet<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        let offered: BTreeSet<&str> = offers().iter().map(|offer| &*offer.tool.name).collect();
        assert_eq!(told, offered);
    }

    fn tool_size(name: &str) -> String {
        Value::Object(named(name).unwrap().tool.input_schema.as_ref().clone()).to_string()
    }

    #[test]
    fn whatever_may_remove_something_needs_a_plan_that_was_seen() {
        for offer in offers().iter().filter(|offer| offer.hints.destructive) {
            let properties = offer.tool.input_schema["properties"].as_object().unwrap();
            for field in ["dry_run", "plan_hash"] {
                assert!(properties.contains_key(field), "{} has no {field}", offer.tool.name);
            }
            // A run obeys its guard: what that halts needs the hash of the plan in `approve`.
            assert!(offer.hints.needs_plan || properties.contains_key("approve"), "{}", offer.tool.name);
        }
        let rollback = named("rollback").unwrap();
        let asked =
            |arguments: Value| rollback.admit(arguments.as_object().unwrap()).map_err(|problem| problem.code);
        assert_eq!(asked(json!({ "run": "last" })), Err("no_plan_hash"));
        assert_eq!(asked(json!({ "run": "last", "dry_run": "true" })), Err("no_plan_hash"));
        assert_eq!(asked(json!({ "run": "last", "plan_hash": null })), Err("no_plan_hash"));
        assert_eq!(asked(json!({ "run": "last", "dry_run": true })), Ok(()));
        assert_eq!(asked(json!({ "run": "last", "plan_hash": "0" })), Ok(()));
    }
}
