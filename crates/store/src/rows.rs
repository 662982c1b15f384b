//! Rows of the tables that stand for themselves: pauses, tokens, requests and totals. Each is looked at alone, so that one
//! that cannot be read hides no other.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _};

use crate::error::Result;
use crate::records::Pause;
use crate::requests::Request;
use crate::store::Store;
use crate::tokens::TokenRecord;
use crate::totals;

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRow {
    /// Its table.
    pub table: Table,
    /// What it is about: the name of a target or of a token, as far as that can be read.
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
}

/// Reads the columns behind the row's place.
type Read = fn(&SqliteRow) -> Result<()>;

impl Table {
    /// All of them.
    const ALL: [Self; 4] = [Self::Pauses, Self::Tokens, Self::Requests, Self::Totals];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pauses => "pauses",
            Self::Tokens => "tokens",
            Self::Requests => "requests",
            Self::Totals => "totals",
        }
    }

    /// Whether a row may be forgotten: nothing is decided by it that anybody would miss.
    #[must_use]
    pub const fn is_forgettable(self) -> bool {
        matches!(self, Self::Requests | Self::Totals)
    }

    /// What says whose row it is, and how it is read from all columns.
    const fn rows(self) -> (&'static str, Read) {
        match self {
            Self::Pauses => ("target", |row| Pause::read(row).map(drop)),
            Self::Tokens => ("name", |row| TokenRecord::read(row).map(drop)),
            Self::Requests => ("target", |row| Request::read(row).map(drop)),
            Self::Totals => ("target", totals::check),
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
            let select = format!("SELECT *, rowid, {key} FROM {} ORDER BY rowid", table.name());
            let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(&mut *connection).await?;
            read += rows.len() as u64;
            for row in rows {
                let Err(error) = check(&row) else { continue };
                let columns = row.len();
                let rowid = row.try_get(columns - 2)?;
                let name = row.try_get(columns - 1).unwrap_or_default();
                damaged.push(DamagedRow { table, name, message: error.to_string(), rowid });
            }
        }
        Ok((read, damaged))
    }

    /// Forgets a row that cannot be read.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_row(&self, damaged: &DamagedRow) -> Result<()> {
        let delete = format!("DELETE FROM {} WHERE rowid = ?1", damaged.table.name());
        let mut connection = self.database().writer().await;
        sqlx::query(AssertSqlSafe(delete)).bind(damaged.rowid).execute(&mut *connection).await?;
        Ok(())
    }
}
