//! The folders that chain.toml mounts into a chainlet, through `wasi:filesystem`.

use std::path::PathBuf;

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::config::{ChainSpec, ChainletSpec};

/// The folders of one chainlet.
pub(super) struct Mounts(Vec<Mount>);

struct Mount {
    source: PathBuf,
    path: String,
    access: FsPerms,
}

/// A folder that can't be mounted.
#[derive(Debug, thiserror::Error)]
#[error("the folder {source_path} cannot be mounted at {path}: {cause}", source_path = source_path.display())]
pub(crate) struct MountError {
    source_path: PathBuf,
    path: String,
    cause: wasmtime::Error,
}

impl Mounts {
    pub(super) fn new(chain: &ChainSpec, chainlet: &ChainletSpec) -> Self {
        let mounts = chainlet.assets.files.iter().map(|mount| Mount {
            source: chain.resolve(&mount.source),
            path: mount.path.clone(),
            access: if mount.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly },
        });
        Mounts(mounts.collect())
    }

    pub(super) fn open(&self, builder: &mut WasiCtxBuilder) -> Result<(), MountError> {
        for Mount { source, path, access } in &self.0 {
            builder.preopened_dir(source, path, *access).map_err(|cause| MountError {
                source_path: source.clone(),
                path: path.clone(),
                cause,
            })?;
        }
        Ok(())
    }
}
