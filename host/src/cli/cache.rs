//! `chainhost cache`: shows or clears the folder of compiled components, which all chains of this user share.

use std::fmt::Write as _;
use std::io;
use std::time::{Duration, SystemTime};

use chainhost::component::{CacheContents, CacheFolder};
use clap::Args;
use serde_json::{Value as Json, json};

use super::args::CacheLimit;
use super::{Exit, Failure, output};

/// Show the cache of compiled components, or clear it
///
/// A component is compiled when a chain first uses it, and its machine code is kept in a folder of this user, so that
/// the next start is fast. The folder is kept within --cache-limit and --cache-age whenever something is added to it.
/// It may be cleared at any time: chains that run are not disturbed, and the next start compiles again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  chainhost cache
  chainhost cache --json | jq .bytes
  chainhost cache --clear

The folder is chainhost/code in the cache folder of this user, on Linux that of XDG_CACHE_HOME or ~/.cache.")]
pub struct Cache {
    /// Remove everything that is in it
    #[arg(long)]
    clear: bool,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    limit: CacheLimit,
}

impl Cache {
    /// Shows or clears the cache.
    pub fn run(&self) -> Result<(), Failure> {
        let folder = CacheFolder::of_this_user().ok_or_else(|| {
            Failure::new(Exit::System, "this user has no cache folder: set the variable XDG_CACHE_HOME or HOME")
        })?;
        let failed = |what: &str, error: io::Error| {
            Failure::system(format_args!("the code cache {} {what}", folder.path().display()), &error)
        };
        let answer = if self.clear {
            let removed = folder.clear().map_err(|error| failed("cannot be cleared", error))?;
            if self.json { cleared_json(&folder, &removed) } else { cleared_text(&folder, &removed) }
        } else {
            let contents = folder.contents().map_err(|error| failed("cannot be used", error))?;
            if self.json { self.json(&folder, &contents) } else { self.text(&folder, &contents) }
        };
        output::answer(answer.as_bytes())
    }

    fn text(&self, folder: &CacheFolder, contents: &CacheContents) -> String {
        let limits = self.limit.limits();
        let mut text = format!(
            "folder      {}\nentries     {}\nsize        {} of at most {}\n",
            folder.path().display(),
            contents.entries,
            readable(contents.bytes),
            readable(limits.bytes)
        );
        if let Some(used) = contents.oldest_use {
            let ago = SystemTime::now().duration_since(used).unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "oldest use  {} ago of at most {}", rounded(ago), rounded(limits.age));
        }
        text
    }

    fn json(&self, folder: &CacheFolder, contents: &CacheContents) -> String {
        let limits = self.limit.limits();
        line(json!({
            "folder": folder.path().to_string_lossy(),
            "entries": contents.entries,
            "bytes": contents.bytes,
            "oldest_use": contents.oldest_use.and_then(rfc3339),
            "limit_bytes": limits.bytes,
            "limit_seconds": limits.age.as_secs(),
        }))
    }
}

fn cleared_text(folder: &CacheFolder, removed: &CacheContents) -> String {
    let entries = if removed.entries == 1 { "entry" } else { "entries" };
    format!("removed {} {entries}, {}, from {}\n", removed.entries, readable(removed.bytes), folder.path().display())
}

fn cleared_json(folder: &CacheFolder, removed: &CacheContents) -> String {
    line(json!({
        "folder": folder.path().to_string_lossy(),
        "removed_entries": removed.entries,
        "removed_bytes": removed.bytes,
    }))
}

fn line(json: Json) -> String {
    format!("{json:#}\n")
}

/// Formats a number of bytes for people, such as `48.3 MiB`.
fn readable(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        // An f64 does not hold all digits of a large number, but it holds those that are shown.
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

/// Formats a length of time for people, in its two largest units.
fn rounded(time: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(time.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Formats a time as RFC 3339. Returns `None` for a time that RFC 3339 cannot express.
fn rfc3339(time: SystemTime) -> Option<String> {
    // The crate panics on a time before 1970.
    time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let mut text = String::new();
    write!(text, "{}", humantime::format_rfc3339_seconds(time)).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(
            [0, 1023, 1536, 48 << 20, 3 << 29].map(readable),
            ["0 B", "1023 B", "1.5 KiB", "48.0 MiB", "1.5 GiB"]
        );
        assert_eq!(rounded(Duration::from_secs(30 * 24 * 60 * 60)), "30days");
        assert_eq!(rounded(Duration::from_millis(3_661_500)), "1h 1m");
    }

    #[test]
    fn a_time_that_rfc_3339_cannot_write_is_none() {
        assert_eq!(rfc3339(SystemTime::UNIX_EPOCH).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(rfc3339(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), None);
    }
}
