//! Messages: what is told of what happened, in the shape that Standard Webhooks recommends.

use serde_json::{Value, json};
use syncline_config::conceal;
use syncline_core::Nanos;
use syncline_store::{Happening, NewMessage, NewsRecord, RunState};

use crate::wire::{VERSION, timestamp};

/// The type of a message that only shows that messages arrive.
pub(crate) const TEST: &str = "webhook.test";
/// The type of a message that says that there should have been others.
pub(super) const LOST: &str = "webhook.lost";

/// The type of something that happened; `None` when it is one of a newer Syncline.
pub(super) fn event(happening: &Happening) -> Option<&'static str> {
    Some(match happening {
        Happening::RunEnded { state, .. } => match RunState::from_name(state)? {
            RunState::Succeeded => "run.succeeded",
            RunState::Partial => "run.partial",
            RunState::Failed => "run.failed",
            RunState::Halted => "run.halted",
            RunState::Interrupted => "run.interrupted",
        },
        Happening::ConflictOpened { .. } => "conflict.opened",
        Happening::ConflictResolved { .. } => "conflict.resolved",
        Happening::Paused { .. } => "target.paused",
        Happening::Resumed => "target.resumed",
    })
}

/// The message of something that happened.
pub(super) fn of_news(event: &str, news: &NewsRecord, node: &str) -> NewMessage {
    let data = match &news.happening {
        Happening::RunEnded { run, state, message, steps, bytes, duration_ns } => json!({
            "run": run,
            "state": state,
            "message": message,
            "steps": steps,
            "bytes": bytes,
            "duration_ms": duration_ns.map(|ns| ns / 1_000_000),
        }),
        Happening::ConflictOpened { conflict, path, what } => {
            json!({ "conflict": conflict, "path": path, "kind": what })
        }
        Happening::ConflictResolved { conflict, path, resolution } => {
            json!({ "conflict": conflict, "path": path, "resolution": resolution })
        }
        Happening::Paused { reason, until } => json!({ "reason": reason, "until": until.map(timestamp) }),
        Happening::Resumed => json!({}),
    };
    message(event, news.at, node, Some(&news.target), data)
}

/// The message that says that so many pieces of news were lost.
pub(super) fn of_lost(count: u64, node: &str, now: Nanos) -> NewMessage {
    message(LOST, now, node, None, json!({ "count": count }))
}

/// A message that only shows that messages arrive.
pub(crate) fn of_test(node: &str, now: Nanos) -> NewMessage {
    message(TEST, now, node, None, json!({}))
}

fn message(event: &str, at: Nanos, node: &str, target: Option<&str>, more: Value) -> NewMessage {
    let mut data = json!({ "version": VERSION, "node": node, "target": target });
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
    let body = json!({ "type": event, "timestamp": timestamp(at), "data": data }).to_string();
    NewMessage {
        id: format!("msg_{}", uuid::Uuid::now_v7().simple()),
        target: target.map(str::to_owned),
        event: event.to_owned(),
        // What a program said on its way may hold a secret of this workspace.
        body: conceal(&body).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn run(state: &str) -> Happening {
        Happening::RunEnded {
            run: Some("r".to_owned()),
            state: state.to_owned(),
            message: "2 of 3 done".to_owned(),
            steps: 2,
            bytes: 7,
            duration_ns: Some(1_500_000_000),
        }
    }

    #[test]
    fn everything_that_can_be_chosen_can_be_told_and_the_other_way_round() {
        let mut all: Vec<Happening> = RunState::ALL.iter().map(|state| run(state.name())).collect();
        let (conflict, path) = ("c".to_owned(), "a.md".to_owned());
        all.push(Happening::ConflictOpened {
            conflict: conflict.clone(),
            path: path.clone(),
            what: "edit-edit".to_owned(),
        });
        all.push(Happening::ConflictResolved { conflict, path, resolution: None });
        all.push(Happening::Paused { reason: "holidays".to_owned(), until: Some(0) });
        all.push(Happening::Resumed);
        let told: BTreeSet<_> = all.iter().filter_map(event).collect();
        let known: BTreeSet<_> = syncline_config::NOTICES.iter().map(|(event, _)| *event).collect();
        assert_eq!(told, known);
        assert_eq!(event(&run("exploded")), None);
    }

    #[test]
    fn a_message_says_what_happened_to_which_target_of_which_node() {
        let news =
            NewsRecord { seq: 1, at: 1_000_000_000, target: "notes".to_owned(), happening: run("partial") };
        let message = of_news("run.partial", &news, "here");
        let body: Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!(
            body,
            json!({
                "type": "run.partial",
                "timestamp": "1970-01-01T00:00:01Z",
                "data": {
                    "version": 1, "node": "here", "target": "notes", "run": "r", "state": "partial",
                    "message": "2 of 3 done", "steps": 2, "bytes": 7, "duration_ms": 1500,
                },
            })
        );
        assert!(message.id.starts_with("msg_") && !message.id.contains('.'), "{}", message.id);
        assert_ne!(message.id, of_news("run.partial", &news, "here").id);
    }
}
