//! Folders that chain.toml mounts into a chainlet, through `wasi:filesystem`.

mod refused;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use super::refusals::Refusals;
use super::{Capability, GrantRequest, Row, StateError};
use crate::chainlet::state::ReplicaState;
use crate::config::{Assets, ConfigError, FileMount};
use crate::machine;

/// The capability.
pub(super) struct Files;

/// The folders of one chainlet.
pub(super) struct Mounts {
    mounts: Vec<Mount>,
    refusals: Arc<Refusals>,
}

struct Mount {
    source: PathBuf,
    path: String,
    access: FsPerms,
    /// True if the host makes the folder if it is missing.
    make: bool,
}

impl Capability for Files {
    type Grant = Mounts;
    type State = Arc<Refusals>;

    fn name(&self) -> &'static str {
        "files"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["wasi:filesystem/types", "wasi:filesystem/preopens"]
    }

    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        refused::add_to_linker(linker)
    }

    async fn grant(&self, chainlet: &GrantRequest<'_>) -> Result<Mounts, ConfigError> {
        let assets = &chainlet.chainlet.assets;
        let mounts = assets.files.iter().map(|mount| Mount {
            source: chainlet.chain.resolve(&mount.source),
            path: mount.path.clone(),
            access: if mount.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly },
            make: false,
        });
        let data = assets.data.iter().map(|data| Mount {
            source: chainlet.chain.resolve(data),
            path: Assets::DATA_PATH.to_owned(),
            access: FsPerms::ReadWrite,
            make: true,
        });
        Ok(Mounts { mounts: mounts.chain(data).collect(), refusals: Arc::new(Refusals::new(chainlet.name)) })
    }

    fn state(&self, mounts: &Arc<Mounts>, _: u32, wasi: &mut WasiCtxBuilder) -> Result<Arc<Refusals>, StateError> {
        mounts.open(wasi).map_err(|error| match error.remedy() {
            Some(help) => StateError::new(error).of_the_machine(help),
            None => StateError::new(error),
        })?;
        Ok(mounts.refusals.clone())
    }

    fn rows(&self, chainlet: &GrantRequest<'_>) -> Vec<Row> {
        let Assets { files, data, .. } = &chainlet.chainlet.assets;
        let files = files.iter().map(|FileMount { source, path, writable }| {
            let access = if *writable { "writable" } else { "read-only" };
            Row::new("file", format_args!("{} at {path}, {access}", source.display()))
        });
        let data = data
            .iter()
            .map(|data| Row::new("data", format_args!("{} at {}, writable", data.display(), Assets::DATA_PATH)));
        files.chain(data).collect()
    }
}

/// A folder that can't be mounted.
#[derive(Debug, thiserror::Error)]
#[error("the folder {source_path} cannot be mounted at {path}: {cause}", source_path = source_path.display())]
struct MountError {
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
    /// Returns the remedy, if the machine or a limit of this process is at fault.
    fn remedy(&self) -> Option<&'static str> {
        match &self.cause {
            Cause::Make(error) => machine::remedy(error),
            Cause::Open(error) => machine::remedy(&machine::system_error(error)?),
        }
    }
}

impl Mounts {
    /// Opens the folders for one replica.
    fn open(&self, builder: &mut WasiCtxBuilder) -> Result<(), MountError> {
        for Mount { source, path, access, make } in &self.mounts {
            let failed = |cause| MountError { source_path: source.clone(), path: path.clone(), cause };
            if *make {
                std::fs::create_dir_all(source).map_err(Cause::Make).map_err(failed)?;
            }
            builder.preopened_dir(source, path, *access).map_err(Cause::Open).map_err(failed)?;
        }
        Ok(())
    }
}
