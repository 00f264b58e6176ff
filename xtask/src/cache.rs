//! The cache folder for files that are fetched once, for other checkouts and later runs.

use std::path::PathBuf;

use crate::failure::Failure;

/// Returns the path of `chainhost/NAME` in the user's cache. It may not exist yet.
pub fn folder(name: &str) -> Result<PathBuf, Failure> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = named.or_else(|| Some(std::env::home_dir()?.join(".cache"))).filter(|path| path.is_absolute());
    let cache = cache.ok_or_else(|| {
        Failure::new("there is no folder for what is fetched", "set XDG_CACHE_HOME to the path of one")
    })?;
    Ok(cache.join("chainhost").join(name))
}
