//! Rows of the state that stand for themselves, and what is done about those that cannot be read.

use syncline_store::{DamagedRow as Row, Store, Table};

use super::{DamagedRow, ScrubbedState};
use crate::problem::{Problem, Result};

/// Reads the rows; to `repair`, those are set aside that nobody has decided on.
pub(super) async fn scrub(store: &Store, repair: bool) -> ScrubbedState {
    match look(store, repair).await {
        Ok(state) => state,
        Err(problem) => ScrubbedState { error: Some(problem.to_wire()), ..ScrubbedState::default() },
    }
}

async fn look(store: &Store, repair: bool) -> Result<ScrubbedState> {
    let (read, rows) = store.damaged_rows().await.map_err(Problem::from)?;
    let mut damaged = Vec::with_capacity(rows.len());
    for row in rows {
        let repaired = repair && row.table.may_be_set_aside();
        if repaired && row.table == Table::Subscribers {
            store.mend_subscribers().await?;
        } else if repaired {
            store.set_row_aside(&row).await?;
        }
        let message = format!("{}; {}", row.message, what_to_do(&row, repaired));
        let (kind, name) = (row.table.name().to_owned(), row.name);
        damaged.push(DamagedRow { kind, name, message, repaired });
    }
    Ok(ScrubbedState { read, damaged, error: None })
}

/// Rights and wishes of people are theirs to give again; the rest comes by itself.
fn what_to_do(row: &Row, repaired: bool) -> String {
    let name = &row.name;
    match (row.table, repaired) {
        (Table::Pauses, _) => {
            format!("`syncline resume {name}` ends the pause, and `syncline pause {name}` makes it anew")
        }
        (Table::Tokens, _) => {
            format!("it lets nobody in: `syncline token revoke {name}`, and make another one")
        }
        (Table::Requests, true) => {
            format!("it is set aside: run {name:?} once, since something has asked for it")
        }
        (Table::Requests, false) => {
            format!("nothing runs because of it: run {name:?} once, since something has asked for it")
        }
        (Table::Subscribers, true) => {
            "it is told of everything that is still to be told, some of it perhaps twice".to_owned()
        }
        (Table::Subscribers, false) => {
            "with the next event it is told of everything that is still to be told, some of it perhaps twice"
                .to_owned()
        }
        (Table::News, true) => {
            format!("it is set aside: nobody is told of something that happened to {name:?}")
        }
        (Table::News, false) => "nobody is told of it".to_owned(),
        (Table::Messages, true) => format!("it is set aside: {name:?} is not sent, nor listed"),
        (Table::Messages, false) => "it is given up when its turn comes, and not listed".to_owned(),
        (Table::Attempts, true) => format!("it is set aside: the log of the message {name:?} lacks a try"),
        (Table::Attempts, false) => format!("the log of the message {name:?} does not show it"),
        (Table::Totals, true) => "it is counted anew".to_owned(),
        (Table::Totals, false) => "with the next run it is counted anew".to_owned(),
    }
}
