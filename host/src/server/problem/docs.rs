//! Compares the tables of `docs/http.md` with the declarations of problems.

use std::fs;
use std::path::Path;

use chainhost_core::error::DeclaredKind;
use http::StatusCode;

use super::kind::{ProblemKind, of_declared};

/// Returns the cells of each row of the first table below `heading` whose head begins with `head`.
fn table(heading: &str, head: &str) -> Vec<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/http.md");
    let page = fs::read_to_string(page).unwrap();
    let mut lines = page.lines().skip_while(|line| *line != heading).skip_while(|line| !line.starts_with(head));
    assert!(lines.next().is_some(), "docs/http.md has no table `{head}` below `{heading}`");
    let rows = lines.take_while(|line| line.starts_with('|')).skip(1);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// Returns the status and the seconds of `Retry-After` in a cell such as "503, with `retry-after: 5`".
fn status(cell: &str) -> (StatusCode, Option<u64>) {
    let (status, more) = cell.split_once(',').unwrap_or((cell, ""));
    let retry_after = more.trim().strip_prefix("with `retry-after: ").and_then(|more| more.strip_suffix('`'));
    (status.parse().unwrap(), retry_after.map(|seconds| seconds.parse().unwrap()))
}

/// Returns the text of a cell in backticks.
fn code(cell: &str) -> &str {
    cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap()
}

#[test]
fn the_table_of_problems_is_that_of_the_declaration() {
    let mut documented: Vec<_> = table("## Problems", "| Status | `type`")
        .iter()
        .map(|row| {
            let [cell, name, title, reason] = row.as_slice() else { panic!("{row:?} has not four cells") };
            assert!(!reason.is_empty(), "{row:?} has no reason");
            let (status, retry_after) = status(cell);
            (status, format!("urn:chainhost:problem:{}", code(name)), title.clone(), retry_after)
        })
        .collect();
    let declarations = ProblemKind::ALL.iter().map(|kind| kind.declaration());
    let mut declared: Vec<_> =
        declarations.map(|kind| (kind.status, kind.uri.to_owned(), kind.title.to_owned(), kind.retry_after)).collect();
    documented.sort();
    declared.sort();
    assert_eq!(documented, declared);
}

#[test]
fn the_table_of_declared_errors_has_their_statuses_and_levels() {
    let rows = table("### Declared errors", "| `kind`");
    let documented: Vec<_> = rows.iter().map(|row| (code(&row[0]), status(&row[1]), row[2].as_str())).collect();
    let level = |kind: DeclaredKind| if kind.is_fault() { "WARN" } else { "DEBUG" };
    let declared = DeclaredKind::ALL.map(|kind| (kind.name(), of_declared(kind), level(kind)));
    assert_eq!(documented, declared);
}
