//! Counts rows, of which a few bytes of text make many of memory.

#[derive(Default)]
struct Rows;

#[chainlet::chainlet]
impl Rows {
    async fn run_remote(&self, rows: Vec<wit::Row>) -> u32 {
        u32::try_from(rows.len()).unwrap_or(u32::MAX)
    }
}
