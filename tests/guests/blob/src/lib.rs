//! Returns the bytes that it gets.

#[derive(Default)]
struct Blob;

#[chainlet::chainlet]
impl Blob {
    async fn run_remote(&self, data: Vec<u8>) -> Result<Vec<u8>, String> {
        match data.strip_prefix(b"err:") {
            Some(text) => Err(String::from_utf8_lossy(text).into_owned()),
            None => Ok(data),
        }
    }
}
