//! The state database: connections, and how they are opened.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor, Row, SqliteConnection, Transaction};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::error::{Error, ErrorKind, Result};
use crate::schema;

/// How long a statement waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);
/// Files up to this size are checked when they are opened; larger ones only when somebody asks.
const CHECK_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Where SQLite keeps `user_version` in the header: <https://www.sqlite.org/fileformat.html#the_database_header>.
const USER_VERSION_OFFSET: usize = 60;
/// Where the versions of the format for writing and for reading are: rollback journal (1) or write-ahead log (2).
const FORMAT_OFFSET: usize = 18;

/// One connection that writes and, for a file, one that reads beside it, and one that counts.
///
/// There is no pool: a pool waits with timers, and timers fire at once under a simulated clock.
pub(crate) struct Database {
    writer: Mutex<SqliteConnection>,
    reader: Option<(SqliteConnectOptions, OnceCell<Mutex<SqliteConnection>>)>,
    counter: OnceCell<Mutex<SqliteConnection>>,
}

impl Database {
    /// Opens or creates the database in `folder`, and brings its schema up to date.
    pub(crate) async fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("state.db");
        let length = check_header(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let opened = Self::open_checked(folder, &options, length).await;
        let writer = opened.map_err(|error| named(error, &path))?;
        let reader = Some((options, OnceCell::new()));
        Ok(Self { writer: Mutex::new(writer), reader, counter: OnceCell::new() })
    }

    async fn open_checked(
        folder: &Path,
        options: &SqliteConnectOptions,
        length: u64,
    ) -> Result<SqliteConnection> {
        let mut connection = options.connect().await?;
        let version: i64 = sqlx::query("PRAGMA user_version").fetch_one(&mut connection).await?.try_get(0)?;
        if version > schema::VERSION {
            return Err(schema::newer(version));
        }
        if version < schema::VERSION {
            // SQLite has no lock for migrations, so two processes take turns on the folder.
            let turn = Turn::wait(folder.to_owned()).await?;
            schema::migrate(&mut connection, schema::STEPS).await?;
            drop(turn);
        }
        if length <= CHECK_BYTES_MAX {
            check_integrity(&mut connection).await?;
        }
        Ok(connection)
    }

    /// Makes an empty database in memory.
    pub(crate) async fn in_memory() -> Result<Self> {
        let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true);
        let mut connection = options.connect().await?;
        schema::create(&mut connection).await?;
        Ok(Self { writer: Mutex::new(connection), reader: None, counter: OnceCell::new() })
    }

    /// The connection that may write.
    ///
    /// When a commit fails by the disk, SQLite rolls back by itself. The rollback that sqlx sends after it then fails,
    /// and sqlx counts the transaction as open forever. So such a connection is replaced, lest a process that runs for
    /// long could never begin another transaction.
    pub(crate) async fn writer(&self) -> MutexGuard<'_, SqliteConnection> {
        let mut connection = self.writer.lock().await;
        if connection.is_in_transaction() {
            // The rollback of a dropped transaction may only be on its way.
            let _ = connection.ping().await;
        }
        if connection.is_in_transaction()
            && let Some((options, _)) = &self.reader
            && let Ok(another) = options.connect().await
        {
            *connection = another;
        }
        connection
    }

    /// A connection for reading, which does not wait for writers where it can be another one.
    pub(crate) async fn reader(&self) -> Result<MutexGuard<'_, SqliteConnection>> {
        let Some((options, cell)) = &self.reader else {
            return Ok(self.writer.lock().await);
        };
        // As long as nobody writes, that connection reads just as well, and another one need not be opened. Its own
        // transaction may only be rolled back yet, and must not be read.
        if !cell.initialized()
            && let Ok(connection) = self.writer.try_lock()
            && !connection.is_in_transaction()
        {
            return Ok(connection);
        }
        let open = || async { Ok::<_, Error>(Mutex::new(options.connect().await?)) };
        Ok(cell.get_or_try_init(open).await?.lock().await)
    }

    /// A connection for what may be lost with the power: its commits wait for no disk. In write-ahead mode the database
    /// stays whole then: <https://www.sqlite.org/pragma.html#pragma_synchronous>.
    pub(crate) async fn counter(&self) -> Result<MutexGuard<'_, SqliteConnection>> {
        let Some((options, _)) = &self.reader else { return Ok(self.writer.lock().await) };
        let open = || async {
            let options = options.clone().synchronous(SqliteSynchronous::Normal);
            Ok::<_, Error>(Mutex::new(options.connect().await?))
        };
        let mut connection = self.counter.get_or_try_init(open).await?.lock().await;
        if connection.is_in_transaction() {
            // As for the writer: what a failed commit leaves is given up.
            *connection = options.clone().synchronous(SqliteSynchronous::Normal).connect().await?;
        }
        Ok(connection)
    }

    /// A connection of its own, which waits for nobody; `None` in memory.
    pub(crate) async fn another(&self) -> Result<Option<SqliteConnection>> {
        match &self.reader {
            Some((options, _)) => Ok(Some(options.connect().await?)),
            None => Ok(None),
        }
    }

    /// Closes all connections, which also folds SQLite's write-ahead log into the file.
    pub(crate) async fn close(self) -> Result<()> {
        if let Some(reader) = self.reader.and_then(|(_, cell)| cell.into_inner()) {
            reader.into_inner().close().await?;
        }
        if let Some(counter) = self.counter.into_inner() {
            counter.into_inner().close().await?;
        }
        Ok(self.writer.into_inner().close().await?)
    }
}

/// Begins a transaction that writes: it waits for other writers here and not half-way.
pub(crate) async fn begin(connection: &mut SqliteConnection) -> Result<Transaction<'_, sqlx::Sqlite>> {
    Ok(connection.begin_with("BEGIN IMMEDIATE").await?)
}

/// Lets SQLite check the whole database: pages, indexes, references.
pub(crate) async fn check_integrity(connection: &mut SqliteConnection) -> Result<()> {
    let row = connection.fetch_one("PRAGMA integrity_check(1)").await?;
    let finding: String = row.try_get(0)?;
    if finding == "ok" {
        return Ok(());
    }
    Err(Error::damaged(format!("the state database is damaged: {}", finding.replace('\n', " "))))
}

/// Looks at the file before SQLite does, unless SQLite has to repair it first; returns its length, 0 when it is missing.
fn check_header(path: &Path) -> Result<u64> {
    let failed = |error: &io::Error| Error::io("open", path, error);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(failed(&error)),
    };
    let length = file.metadata().map_err(|error| failed(&error))?.len();
    if length == 0 || has_log(path) {
        return Ok(length);
    }
    let mut header = [0; 100];
    let whole = file.read_exact(&mut header);
    if whole.is_err() || !header.starts_with(b"SQLite format 3\0") {
        return Err(named(Error::damaged("it is not a SQLite database"), path));
    }
    // SQLite takes an unknown format of the file for one that it may only read, which would look like a matter
    // of permissions.
    if header[FORMAT_OFFSET..FORMAT_OFFSET + 2].iter().any(|format| !matches!(format, 1 | 2)) {
        return Err(named(Error::damaged("its header is damaged"), path));
    }
    let mut version = [0; 4];
    version.copy_from_slice(&header[USER_VERSION_OFFSET..USER_VERSION_OFFSET + 4]);
    let version = i64::from(i32::from_be_bytes(version));
    if version > schema::VERSION {
        return Err(named(schema::newer(version), path));
    }
    Ok(length)
}

/// Whether SQLite was cut short and left a log to repair the file from: until it has, the file may hold anything.
fn has_log(path: &Path) -> bool {
    ["-wal", "-journal"].into_iter().any(|end| {
        let mut log = path.as_os_str().to_owned();
        log.push(end);
        std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
    })
}

/// Says which file an error is about.
fn named(error: Error, path: &Path) -> Error {
    let named = Error::new(error.kind(), format!("{}: {error}", path.display()));
    if error.kind() != ErrorKind::Damaged {
        return named;
    }
    named.with_hint(format!(
        "move {} and its -wal and -shm files away and run again: both sides are compared afresh and nothing is removed",
        path.display()
    ))
}

/// One process at a time migrates.
struct Turn(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl Turn {
    async fn wait(folder: PathBuf) -> Result<Self> {
        let wait = move || {
            let lock = || -> io::Result<File> {
                let handle = File::open(&folder)?;
                handle.lock()?;
                Ok(handle)
            };
            lock().map(Self).map_err(|error| Error::io("lock", &folder, &error))
        };
        tokio::task::spawn_blocking(wait).await.map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot wait for the state folder: {error}"))
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_transaction_that_sqlite_gave_up_does_not_stop_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).await.unwrap();
        let mut connection = database.writer().await;
        let mut transaction = begin(&mut connection).await.unwrap();
        // As SQLite does by itself when a commit cannot be written.
        transaction.execute("ROLLBACK").await.unwrap();
        assert!(transaction.commit().await.is_err());
        drop(connection);
        let mut connection = database.writer().await;
        begin(&mut connection).await.unwrap().commit().await.unwrap();
    }
}
