//! Rows of the tables that stand for themselves: pauses, tokens, requests and totals, and what programs elsewhere are told.
//! Each is looked at alone, so that one that cannot be read hides no other.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use crate::database::begin;
use crate::error::Result;
use crate::news::NewsRecord;
use crate::outgoing::{AttemptRecord, MessageRecord};
use crate::records::Pause;
use crate::requests::Request;
use crate::store::Store;
use crate::subscribers::Subscriber;
use crate::tokens::TokenRecord;
use crate::totals;

/// How many rows are read at once: a message may be long.
const PAGE: i64 = 500;

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRow {
    /// Its table.
    pub table: Table,
    /// What it is about: the name of a target, a token, a webhook or a message, as far as that can be read.
    pub name: String,
    /// What is wrong with it, for people.
    pub message: String,
    /// Where it lies in its table.
    rowid: i64,
}

/// A table whose rows stand for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Targets that are to be left alone.
    Pauses,
    /// Who may ask over the network.
    Tokens,
    /// Targets that are to run.
    Requests,
    /// How often targets ran.
    Totals,
    /// How far each webhook was told what happened.
    Subscribers,
    /// What happened, and was not handed on yet.
    News,
    /// What is told to webhooks.
    Messages,
    /// How it went when it was.
    Attempts,
}

/// Reads the columns behind the row's place.
type Read = fn(&SqliteRow) -> Result<()>;

impl Table {
    /// All of them.
    const ALL: [Self; 8] = [
        Self::Pauses,
        Self::Tokens,
        Self::Requests,
        Self::Totals,
        Self::Subscribers,
        Self::News,
        Self::Messages,
        Self::Attempts,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pauses => "pauses",
            Self::Tokens => "tokens",
            Self::Requests => "requests",
            Self::Totals => "totals",
            Self::Subscribers => "subscribers",
            Self::News => "news",
            Self::Messages => "messages",
            Self::Attempts => "attempts",
        }
    }

    /// Whether a row may be set aside: what people have decided is theirs to decide again, and nothing else can be made of
    /// a row that cannot be read.
    #[must_use]
    pub const fn may_be_set_aside(self) -> bool {
        !matches!(self, Self::Pauses | Self::Tokens)
    }

    /// What says whose row it is, and how it is read from all columns.
    const fn rows(self) -> (&'static str, Read) {
        match self {
            Self::Pauses => ("target", |row| Pause::read(row).map(drop)),
            Self::Tokens => ("name", |row| TokenRecord::read(row).map(drop)),
            Self::Requests => ("target", |row| Request::read(row).map(drop)),
            Self::Totals => ("target", totals::check),
            Self::Subscribers => ("webhook", |row| Subscriber::read(row).map(drop)),
            Self::News => ("target", |row| NewsRecord::read(row).map(drop)),
            Self::Messages => ("id", |row| MessageRecord::read(row).map(drop)),
            Self::Attempts => {
                ("(SELECT id FROM messages WHERE seq = message)", |row| AttemptRecord::read(row).map(drop))
            }
        }
    }
}

impl Store {
    /// Reads every row of these tables; how many there are, and those that cannot be read.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn damaged_rows(&self) -> Result<(u64, Vec<DamagedRow>)> {
        let (mut read, mut damaged) = (0, Vec::new());
        let mut connection = self.database().reader().await?;
        for table in Table::ALL {
            let (key, check) = table.rows();
            let select = format!(
                "SELECT *, rowid, {key} FROM {} WHERE rowid > ?1 ORDER BY rowid LIMIT {PAGE}",
                table.name()
            );
            let mut after = i64::MIN;
            loop {
                let page = sqlx::query(AssertSqlSafe(select.as_str())).bind(after);
                let rows = page.fetch_all(&mut *connection).await?;
                read += rows.len() as u64;
                for row in &rows {
                    let columns = row.len();
                    after = row.try_get(columns - 2)?;
                    let Err(error) = check(row) else { continue };
                    let name = row.try_get(columns - 1).unwrap_or_default();
                    damaged.push(DamagedRow { table, name, message: error.to_string(), rowid: after });
                }
                if i64::try_from(rows.len()).unwrap_or(i64::MAX) < PAGE {
                    break;
                }
            }
        }
        Ok((read, damaged))
    }

    /// Takes a row that cannot be read out of its table, and sets it aside.
    ///
    /// # Errors
    /// When the database fails; then it stays where it is.
    pub async fn set_row_aside(&self, damaged: &DamagedRow) -> Result<()> {
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        set_aside(&mut transaction, damaged.table.name(), damaged.rowid).await?;
        Ok(transaction.commit().await?)
    }

    /// The rows that were set aside, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rows_aside(&self) -> Result<Vec<RowAside>> {
        const SELECT: &str = "SELECT origin, statement FROM rows_aside ORDER BY seq";
        let mut connection = self.database().reader().await?;
        let rows = sqlx::query(SELECT).fetch_all(&mut *connection).await?;
        let read = |row: &SqliteRow| Ok(RowAside { origin: row.try_get(0)?, statement: row.try_get(1)? });
        rows.iter().map(read).collect()
    }
}

/// A row that was taken out of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowAside {
    /// The table.
    pub origin: String,
    /// The SQL that puts it back as it was, down to the last byte.
    pub statement: String,
}

/// Takes a row out of its table, and keeps what was in it.
pub(crate) async fn set_aside(connection: &mut SqliteConnection, table: &str, rowid: i64) -> Result<()> {
    const COLUMNS: &str = "SELECT name FROM pragma_table_info(?1)";
    let columns: Vec<String> = sqlx::query_scalar(COLUMNS).bind(table).fetch_all(&mut *connection).await?;
    // Damaged text need not be text: it is kept as bytes.
    let literal = |name: &String| {
        format!(
            "CASE typeof({name}) WHEN 'text' THEN 'CAST(' || quote(CAST({name} AS BLOB)) || ' AS TEXT)' \
             ELSE quote({name}) END"
        )
    };
    let literals: Vec<String> = columns.iter().map(literal).collect();
    let keep = format!(
        "INSERT INTO rows_aside (origin, statement) SELECT '{table}', \
         'INSERT INTO {table} ({}) VALUES (' || {} || ')' FROM {table} WHERE rowid = ?1",
        columns.join(", "),
        literals.join(" || ', ' || ")
    );
    let delete = format!("DELETE FROM {table} WHERE rowid = ?1");
    for statement in [keep, delete] {
        sqlx::query(AssertSqlSafe(statement)).bind(rowid).execute(&mut *connection).await?;
    }
    Ok(())
}
