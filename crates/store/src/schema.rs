//! The schema of the state database and its migrations.

use std::future::Future;
use std::pin::Pin;

use sqlx::SqliteConnection;
use sqlx::migrate::{MigrateError, Migration, MigrationSource, MigrationType, Migrator};
use sqlx::{Executor, SqlSafeStr};

use crate::error::{Error, ErrorKind, Result};

/// The schema version that this Syncline writes: that of the last migration.
pub(crate) const VERSION: i64 = 10;

/// One step from a schema version to the next. A step that was released never changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    version: i64,
    description: &'static str,
    sql: &'static str,
}

/// All steps, the first one first. Every step sets `user_version`, which stands in the file's header, so that a
/// newer file is noticed before SQLite touches it.
pub(crate) const STEPS: &[Step] = &[
    Step { version: 1, description: "targets, runs, conflicts", sql: FIRST },
    // The tables are as they were; the items of a conflict may hold a merged one.
    Step { version: 2, description: "merged versions", sql: "PRAGMA user_version = 2;" },
    // The items of a conflict also say whether the rest of the row is done or only decided.
    Step {
        version: 3,
        description: "pending decisions",
        sql: "CREATE INDEX conflicts_at ON conflicts (target, path); PRAGMA user_version = 3;",
    },
    Step { version: 4, description: "pauses", sql: PAUSES },
    Step { version: 5, description: "tokens, answers that are given again", sql: TOKENS },
    Step { version: 6, description: "requests and webhooks", sql: HOOKS },
    Step { version: 7, description: "totals", sql: TOTALS },
    Step { version: 8, description: "news and messages", sql: MESSAGES },
    // A try that was recorded before has none.
    Step {
        version: 9,
        description: "seals of tries",
        sql: "ALTER TABLE attempts ADD COLUMN seal BLOB; PRAGMA user_version = 9;",
    },
    Step { version: 10, description: "damaged rows", sql: ASIDE },
];

const FIRST: &str = "
CREATE TABLE targets (
    name TEXT NOT NULL UNIQUE,
    id TEXT NOT NULL,
    identity TEXT,
    epoch INTEGER NOT NULL,
    holder TEXT,
    expires INTEGER,
    mark_local TEXT,
    mark_remote TEXT,
    mark_pending TEXT,
    pointer BLOB NOT NULL,
    seal BLOB NOT NULL
) STRICT;

CREATE TABLE runs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    target TEXT NOT NULL REFERENCES targets (name),
    direction TEXT NOT NULL,
    started INTEGER NOT NULL,
    cause TEXT NOT NULL,
    plan_hash TEXT NOT NULL,
    planned INTEGER NOT NULL,
    finished INTEGER,
    state TEXT,
    message TEXT,
    steps INTEGER,
    bytes INTEGER,
    conflicts INTEGER,
    deltas BLOB NOT NULL,
    seal BLOB NOT NULL,
    report TEXT
) STRICT;
CREATE INDEX runs_by_target ON runs (target, seq);
CREATE INDEX runs_unfinished ON runs (target, seq) WHERE state IS NULL;

CREATE TABLE journal (
    run INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    digest BLOB NOT NULL,
    records INTEGER NOT NULL,
    seal BLOB NOT NULL,
    UNIQUE (run, position)
) STRICT;

CREATE TABLE conflicts (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    target TEXT NOT NULL,
    run TEXT NOT NULL,
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    policy TEXT NOT NULL,
    items BLOB NOT NULL,
    winner TEXT,
    copy TEXT,
    action TEXT NOT NULL,
    clamped INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    resolved INTEGER,
    resolution TEXT,
    seal BLOB NOT NULL
) STRICT;
CREATE INDEX conflicts_open ON conflicts (target, seq) WHERE resolved IS NULL;

CREATE TABLE approvals (
    target TEXT NOT NULL,
    plan_hash TEXT NOT NULL,
    given INTEGER NOT NULL,
    seal BLOB NOT NULL,
    UNIQUE (target, plan_hash)
) STRICT;

PRAGMA user_version = 1;
";

const PAUSES: &str = "
CREATE TABLE pauses (
    target TEXT NOT NULL UNIQUE,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    seal BLOB NOT NULL
) STRICT;
PRAGMA user_version = 4;
";

const TOKENS: &str = "
CREATE TABLE tokens (
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    targets TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    used INTEGER,
    seal BLOB NOT NULL
) STRICT;

CREATE TABLE answers (
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    request BLOB NOT NULL,
    process TEXT NOT NULL,
    at INTEGER NOT NULL,
    status INTEGER,
    body TEXT,
    UNIQUE (caller, key)
) STRICT;
CREATE INDEX answers_at ON answers (at);

PRAGMA user_version = 5;
";

const HOOKS: &str = "
CREATE TABLE requests (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    target TEXT NOT NULL UNIQUE,
    cause TEXT NOT NULL,
    asked INTEGER NOT NULL,
    times INTEGER NOT NULL,
    seal BLOB NOT NULL
) STRICT;

CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    hook TEXT NOT NULL,
    id TEXT NOT NULL,
    received INTEGER NOT NULL,
    UNIQUE (hook, id)
) STRICT;
PRAGMA user_version = 6;
";

const TOTALS: &str = "
CREATE TABLE totals (
    target TEXT NOT NULL UNIQUE,
    counts TEXT NOT NULL,
    seal BLOB NOT NULL
) STRICT;
PRAGMA user_version = 7;
";

const MESSAGES: &str = "
CREATE TABLE subscribers (
    webhook TEXT NOT NULL UNIQUE,
    after INTEGER NOT NULL,
    gone INTEGER,
    seal BLOB NOT NULL
) STRICT;

CREATE TABLE news (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    target TEXT NOT NULL,
    happening TEXT NOT NULL,
    seal BLOB NOT NULL
) STRICT;

CREATE TABLE untold (
    run TEXT NOT NULL UNIQUE REFERENCES runs (id) ON DELETE CASCADE
) STRICT;

CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    webhook TEXT NOT NULL,
    target TEXT,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    made INTEGER NOT NULL,
    state TEXT NOT NULL,
    tries INTEGER NOT NULL,
    since INTEGER NOT NULL,
    next INTEGER NOT NULL,
    seal BLOB NOT NULL
) STRICT;
CREATE INDEX messages_waiting ON messages (webhook, next) WHERE state = 'waiting';

CREATE TABLE attempts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    message INTEGER NOT NULL REFERENCES messages (seq) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    error TEXT
) STRICT;
CREATE INDEX attempts_of ON attempts (message, seq);

PRAGMA user_version = 8;
";

const ASIDE: &str = "
CREATE TABLE rows_aside (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    origin TEXT NOT NULL,
    statement TEXT NOT NULL
) STRICT;
PRAGMA user_version = 10;
";

/// Hands the steps to sqlx.
#[derive(Debug)]
struct Source(&'static [Step]);

type Resolved = std::result::Result<Vec<Migration>, Box<dyn std::error::Error + Send + Sync>>;

impl MigrationSource<'static> for Source {
    fn resolve(self) -> Pin<Box<dyn Future<Output = Resolved> + Send>> {
        let migrations = self.0.iter().map(|step| {
            let sql = step.sql.into_sql_str();
            Migration::new(step.version, step.description.into(), MigrationType::Simple, sql, false)
        });
        let migrations = migrations.collect();
        Box::pin(async move { Ok(migrations) })
    }
}

/// Brings the database to the version of the last of `steps`.
///
/// # Errors
/// [`ErrorKind::NewerVersion`] when a step was applied that is not known here.
pub(crate) async fn migrate(connection: &mut SqliteConnection, steps: &'static [Step]) -> Result<()> {
    let migrator = Migrator::new(Source(steps)).await.map_err(failed)?;
    migrator.run_direct(None, connection, false).await.map_err(failed)
}

/// Makes the schema in an empty database in memory, where no later version can ever meet it.
pub(crate) async fn create(connection: &mut SqliteConnection) -> Result<()> {
    for step in STEPS {
        connection.execute(step.sql).await?;
    }
    Ok(())
}

fn failed(error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMissing(version) => newer(version),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        MigrateError::VersionMismatch(_) | MigrateError::Dirty(_) => {
            Error::damaged(format!("the state database cannot be migrated: {error}"))
        }
        error => Error::new(ErrorKind::Io, format!("the state database cannot be migrated: {error}")),
    }
}

/// The error for a database that a newer Syncline wrote.
pub(crate) fn newer(version: i64) -> Error {
    Error::new(
        ErrorKind::NewerVersion,
        format!(
            "the state database has version {version}, which is newer than this syncline (version {VERSION}); it was left untouched"
        ),
    )
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Row};

    use super::*;

    /// The steps of a later Syncline.
    fn later() -> &'static [Step] {
        let sql = "ALTER TABLE targets ADD COLUMN note TEXT; PRAGMA user_version = 1000;";
        let mut steps = STEPS.to_vec();
        steps.push(Step { version: 1000, description: "a later one", sql });
        steps.leak()
    }

    async fn version(connection: &mut SqliteConnection) -> i64 {
        sqlx::query("PRAGMA user_version").fetch_one(connection).await.unwrap().get(0)
    }

    #[tokio::test]
    async fn a_first_version_migrates_and_keeps_its_rows() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrate(&mut connection, &STEPS[..1]).await.unwrap();
        assert_eq!(version(&mut connection).await, 1);
        let insert = "INSERT INTO targets (name, id, epoch, pointer, seal) VALUES ('t', 'i', 4, x'00', x'')";
        connection.execute(insert).await.unwrap();
        migrate(&mut connection, later()).await.unwrap();
        migrate(&mut connection, later()).await.unwrap();
        assert_eq!(version(&mut connection).await, 1000);
        let row = connection.fetch_one("SELECT epoch, note FROM targets").await.unwrap();
        assert_eq!((row.get::<i64, _>(0), row.get::<Option<String>, _>(1)), (4, None));
        // And this one would refuse what the later one made.
        let refused = migrate(&mut connection, STEPS).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NewerVersion);
    }

    #[tokio::test]
    async fn the_last_step_sets_the_version() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        create(&mut connection).await.unwrap();
        assert_eq!(version(&mut connection).await, VERSION);
        assert_eq!(STEPS.last().map(|step| step.version), Some(VERSION));
    }
}
