//! Counts rows. A row takes a few bytes as text, but many in memory.

#[derive(Default)]
struct Rows;

#[chainlet::chainlet]
impl Rows {
    async fn run_remote(&self, rows: Vec<wit::Row>) -> u32 {
        u32::try_from(rows.len()).unwrap_or(u32::MAX)
    }
}
