//! Passes bytes on to a dependency, and its answer back.

#[derive(Default)]
struct BlobRelay;

#[chainlet::chainlet]
impl BlobRelay {
    async fn run_remote(&self, data: Vec<u8>) -> chainlet::Result<Vec<u8>> {
        Ok(next::run_remote(data).await?)
    }
}
