//! Files that a chainlet may not open, make or remove, in the folders that it has.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView as _};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, ErrorCode, Host as _, HostDescriptor as _, OpenFlags, PathFlags,
};
use wasmtime_wasi::{FsPerms, WasiView as _};

use super::{Kind, Refusals};
use crate::chainlet::state::State;

/// The interface and its functions, as wasmtime-wasi names them.
const TYPES: &str = "wasi:filesystem/types@0.2.12";
const OPEN: &str = "[method]descriptor.open-at";
const MAKE_FOLDER: &str = "[method]descriptor.create-directory-at";
const REMOVE_FOLDER: &str = "[method]descriptor.remove-directory-at";
const REMOVE: &str = "[method]descriptor.unlink-file-at";

type Store<'a> = StoreContextMut<'a, State>;
type Open = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);
type Named = (Resource<Descriptor>, String);

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_async(OPEN, |mut store: Store<'_>, (folder, path_flags, path, open, flags): Open| {
        Box::new(async move {
            let writes = flags.contains(DescriptorFlags::WRITE)
                || open.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::EXCLUSIVE);
            let attempt = Attempt::new(&mut store, &folder, &path, writes);
            let opened = store.data_mut().filesystem().open_at(folder, path_flags, path, open, flags).await;
            returned(&mut store, opened, attempt)
        })
    })?;
    types.func_wrap_async(MAKE_FOLDER, |mut store: Store<'_>, (folder, path): Named| {
        Box::new(async move {
            let attempt = Attempt::new(&mut store, &folder, &path, true);
            let made = store.data_mut().filesystem().create_directory_at(folder, path).await;
            returned(&mut store, made, attempt)
        })
    })?;
    types.func_wrap_async(REMOVE_FOLDER, |mut store: Store<'_>, (folder, path): Named| {
        Box::new(async move {
            let attempt = Attempt::new(&mut store, &folder, &path, true);
            let removed = store.data_mut().filesystem().remove_directory_at(folder, path).await;
            returned(&mut store, removed, attempt)
        })
    })?;
    types.func_wrap_async(REMOVE, |mut store: Store<'_>, (folder, path): Named| {
        Box::new(async move {
            let attempt = Attempt::new(&mut store, &folder, &path, true);
            let removed = store.data_mut().filesystem().unlink_file_at(folder, path).await;
            returned(&mut store, removed, attempt)
        })
    })
}

/// An operation of a guest on a path in one of its folders.
struct Attempt {
    path: String,
    /// It changes something, and the folder is read-only.
    lacks_write: bool,
}

impl Attempt {
    fn new(store: &mut Store<'_>, folder: &Resource<Descriptor>, path: &str, writes: bool) -> Self {
        let folder = store.data_mut().ctx().table.get(folder);
        let is_read_only = matches!(folder, Ok(Descriptor::Dir(folder)) if matches!(folder.perms, FsPerms::ReadOnly));
        Attempt { path: path.to_owned(), lacks_write: writes && is_read_only }
    }

    fn tell(&self, refusals: &Refusals) {
        refusals.tell(Kind::File, &self.path, |path| match self.lacks_write {
            true => format!(
                "a change of `{path}` was refused, as its folder is read-only; to allow it, set writable = true in the \
                 folder's entry in assets.files in chain.toml, or use the folder of assets.data"
            ),
            false => format!(
                "the path `{path}` was refused: it leads out of its folder, or the system does not permit it; to allow \
                 another folder, add it to assets.files in chain.toml"
            ),
        });
    }
}

/// Returns `outcome` to the guest, and tells of the attempt if it was refused.
fn returned<T>(
    store: &mut Store<'_>,
    outcome: FsResult<T>,
    attempt: Attempt,
) -> wasmtime::Result<(Result<T, ErrorCode>,)> {
    let error = match outcome {
        Ok(value) => return Ok((Ok(value),)),
        Err(error) => store.data_mut().filesystem().convert_error_code(error)?,
    };
    if matches!(error, ErrorCode::NotPermitted) {
        attempt.tell(&store.data().capabilities.refusals);
    }
    Ok((Err(error),))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::tests::stands_in;

    #[test]
    fn the_functions_of_files_stand_in_for_those_of_wasmtime_wasi() {
        for name in [OPEN, MAKE_FOLDER, REMOVE_FOLDER, REMOVE] {
            assert!(stands_in((TYPES, name)), "{name}");
        }
    }
}
