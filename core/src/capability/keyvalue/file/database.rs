//! Opening the file of a store, and the failures of redb.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase, TableDefinition, TableError, TableHandle};

use super::super::error::Problem;
use super::tables::{ENTRIES, USED};

/// The version of the tables in the file.
const FORMAT: u64 = 1;

const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

/// The memory for pages of the file. redb's own default is 1 GiB.
const CACHE_BYTES: usize = 8 << 20;

/// A failure in the work on a file.
#[derive(Debug)]
pub(super) enum Failure {
    /// The operation is wrong or not possible. The file is intact.
    Problem(Problem),
    /// redb or the disk failed.
    Database(Box<redb::Error>),
}

impl Failure {
    /// Returns true if redb rejects all further work after this failure.
    pub(super) fn ends_database(&self) -> bool {
        matches!(self, Failure::Database(error) if matches!(
            **error,
            redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::Corrupted(_) | redb::Error::DatabaseClosed
                | redb::Error::LockPoisoned(_)
        ))
    }

    pub(super) fn problem(self, path: &Path) -> Problem {
        let error = match self {
            Failure::Problem(problem) => return problem,
            Failure::Database(error) => *error,
        };
        let path = path.to_owned();
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Problem::InUse { path },
            redb::Error::Corrupted(cause) => Problem::Corrupt { path, cause },
            redb::Error::Io(error) if is_damage(&error) => Problem::Corrupt { path, cause: error.to_string() },
            redb::Error::UpgradeRequired(_)
            | redb::Error::RepairAborted
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TableDoesNotExist(_) => Problem::Corrupt { path, cause: error.to_string() },
            error => Problem::Unavailable { cause: format!("the file {path:?}: {error}") },
        }
    }
}

/// redb reports a file that is too short or that another program made as an error of input.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure::Problem(problem)
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::Database(Box::new(error.into()))
            }
        })*
    };
}

from_redb!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    io::Error
);

/// Opens the file, and makes it and its folder first if they are missing.
pub(super) fn create(path: &Path) -> Result<Database, Failure> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // The entries are for this user only.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    open_file(path, options.open(path)?)
}

/// Opens the file again, which must be there: a new one would lose all entries without a word.
pub(super) fn open(path: &Path) -> Result<Database, Failure> {
    open_file(path, OpenOptions::new().read(true).write(true).open(path)?)
}

fn open_file(path: &Path, file: File) -> Result<Database, Failure> {
    if !file.metadata()?.is_file() {
        let cause = format!("{path:?} is not a file: name one");
        return Err(Problem::BadSpec { key: "path", cause }.into());
    }
    let mut builder = Builder::new();
    // Finds damage at the start, rather than in the middle of a call.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    let database = builder.create_with_backend(FileBackend::new(file)?)?;
    check_format(path, &database)?;
    Ok(database)
}

/// Checks that the file is that of a store, and makes the tables in a new one.
fn check_format(path: &Path, database: &Database) -> Result<(), Failure> {
    let transaction = database.begin_read()?;
    let format = match transaction.open_table(META) {
        Ok(meta) => redb::ReadableTable::get(&meta, "format")?.map(|format| format.value()),
        Err(TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let other_tables = transaction.list_tables()?.any(|table| table.name() != META.name());
    match format {
        Some(FORMAT) => Ok(()),
        None if !other_tables => make_tables(database),
        None => damaged(path, "it is the database of another program"),
        Some(_) => damaged(path, "a newer chainhost wrote it"),
    }
}

fn damaged(path: &Path, cause: &str) -> Result<(), Failure> {
    Err(Problem::Corrupt { path: path.to_owned(), cause: cause.to_owned() }.into())
}

fn make_tables(database: &Database) -> Result<(), Failure> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert("format", FORMAT)?;
    transaction.open_table(ENTRIES)?;
    transaction.open_table(USED)?.insert((), 0)?;
    transaction.commit()?;
    Ok(())
}
