//! Files that a chainlet may not open, make or remove, in the folders that it has.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView as _};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, ErrorCode, Host as _, HostDescriptor as _, OpenFlags, PathFlags,
};
use wasmtime_wasi::{FsPerms, WasiView as _};

use super::super::refusals::{Kind, Refusals};
use super::Files;
use crate::chainlet::state::ReplicaState;

/// The interface and its functions, as wasmtime-wasi names them.
const TYPES: &str = "wasi:filesystem/types@0.2.12";
const OPEN: &str = "[method]descriptor.open-at";
const MAKE_FOLDER: &str = "[method]descriptor.create-directory-at";
const REMOVE_FOLDER: &str = "[method]descriptor.remove-directory-at";
const REMOVE: &str = "[method]descriptor.unlink-file-at";
const RENAME: &str = "[method]descriptor.rename-at";
const LINK: &str = "[method]descriptor.link-at";
const SYMLINK: &str = "[method]descriptor.symlink-at";

type Store<'a> = StoreContextMut<'a, ReplicaState>;
type Open = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);
type Named = (Resource<Descriptor>, String);
type Rename = (Resource<Descriptor>, String, Resource<Descriptor>, String);
type Link = (Resource<Descriptor>, PathFlags, String, Resource<Descriptor>, String);
type Symlink = (Resource<Descriptor>, String, String);

pub(super) fn add_to_linker(linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
    // These functions replace those of wasmtime-wasi.
    linker.allow_shadowing(true);
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
    for name in [MAKE_FOLDER, REMOVE_FOLDER, REMOVE] {
        types.func_wrap_async(name, move |mut store: Store<'_>, (folder, path): Named| {
            Box::new(async move {
                let attempt = Attempt::new(&mut store, &folder, &path, true);
                let mut files = store.data_mut().filesystem();
                let changed = match name {
                    MAKE_FOLDER => files.create_directory_at(folder, path).await,
                    REMOVE_FOLDER => files.remove_directory_at(folder, path).await,
                    _ => files.unlink_file_at(folder, path).await,
                };
                returned(&mut store, changed, attempt)
            })
        })?;
    }
    types.func_wrap_async(RENAME, |mut store: Store<'_>, (folder, path, to, new): Rename| {
        Box::new(async move {
            let attempt = Attempt::of_two(&mut store, (&folder, &path), (&to, &new));
            let renamed = store.data_mut().filesystem().rename_at(folder, path, to, new).await;
            returned(&mut store, renamed, attempt)
        })
    })?;
    types.func_wrap_async(LINK, |mut store: Store<'_>, (folder, flags, path, to, new): Link| {
        Box::new(async move {
            let attempt = Attempt::of_two(&mut store, (&folder, &path), (&to, &new));
            let linked = store.data_mut().filesystem().link_at(folder, flags, path, to, new).await;
            returned(&mut store, linked, attempt)
        })
    })?;
    types.func_wrap_async(SYMLINK, |mut store: Store<'_>, (folder, path, new): Symlink| {
        Box::new(async move {
            let attempt = Attempt::new(&mut store, &folder, &new, true);
            let linked = store.data_mut().filesystem().symlink_at(folder, path, new).await;
            returned(&mut store, linked, attempt)
        })
    })?;
    linker.allow_shadowing(false);
    Ok(())
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

    /// An operation that changes both paths.
    fn of_two(store: &mut Store<'_>, old: (&Resource<Descriptor>, &str), new: (&Resource<Descriptor>, &str)) -> Self {
        let old = Attempt::new(store, old.0, old.1, true);
        if old.lacks_write { old } else { Attempt::new(store, new.0, new.1, true) }
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
        attempt.tell(store.data().of::<Files>());
    }
    Ok((Err(error),))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::tests::stands_in;

    #[test]
    fn the_functions_of_files_stand_in_for_those_of_wasmtime_wasi() {
        for name in [OPEN, MAKE_FOLDER, REMOVE_FOLDER, REMOVE, RENAME, LINK, SYMLINK] {
            assert!(stands_in((TYPES, name)), "{name}");
        }
    }
}
