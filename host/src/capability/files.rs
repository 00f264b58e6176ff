//! The folders that chain.toml mounts into a chainlet, through `wasi:filesystem`.

use std::io;
use std::path::PathBuf;

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::config::{Assets, ChainSpec, ChainletSpec};
use crate::machine;

/// The folders of one chainlet.
pub(super) struct Mounts(Vec<Mount>);

struct Mount {
    source: PathBuf,
    path: String,
    access: FsPerms,
    /// Whether it is made where it is missing.
    make: bool,
}

/// A folder that can't be mounted.
#[derive(Debug, thiserror::Error)]
#[error("the folder {source_path} cannot be mounted at {path}: {cause}", source_path = source_path.display())]
pub(crate) struct MountError {
    source_path: PathBuf,
    path: String,
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("it cannot be made: {0}")]
    Make(io::Error),
    #[error("{0}")]
    Open(wasmtime::Error),
}

impl MountError {
    /// What to do about it, where the machine or a limit of this process is at fault.
    pub(crate) fn remedy(&self) -> Option<&'static str> {
        match &self.cause {
            Cause::Make(error) => machine::remedy(error),
            Cause::Open(error) => machine::remedy(&machine::system_error(error)?),
        }
    }
}

impl Mounts {
    pub(super) fn new(chain: &ChainSpec, chainlet: &ChainletSpec) -> Self {
        let mounts = chainlet.assets.files.iter().map(|mount| Mount {
            source: chain.resolve(&mount.source),
            path: mount.path.clone(),
            access: if mount.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly },
            make: false,
        });
        let data = chainlet.assets.data.iter().map(|data| Mount {
            source: chain.resolve(data),
            path: Assets::DATA_PATH.to_owned(),
            access: FsPerms::ReadWrite,
            make: true,
        });
        Mounts(mounts.chain(data).collect())
    }

    pub(super) fn open(&self, builder: &mut WasiCtxBuilder) -> Result<(), MountError> {
        for Mount { source, path, access, make } in &self.0 {
            let failed = |cause| MountError { source_path: source.clone(), path: path.clone(), cause };
            if *make {
                std::fs::create_dir_all(source).map_err(Cause::Make).map_err(failed)?;
            }
            builder.preopened_dir(source, path, *access).map_err(Cause::Open).map_err(failed)?;
        }
        Ok(())
    }
}
