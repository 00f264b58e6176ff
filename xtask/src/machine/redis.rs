//! A Redis server: that of the machine, or one that was unpacked into the cache.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::apt::{self, library_folders};
use super::runs;
use crate::cache;

/// Debian's packages with the server. The program of the first is a link to one of the second.
const PACKAGES: [&str; 2] = ["redis-server", "redis-tools"];

/// Whether the machine has the program.
pub(super) fn is_found() -> bool {
    runs("redis-server", "--version")
}

/// A folder with the server and the libraries that it needs.
pub(super) struct Server {
    folder: PathBuf,
}

/// The server in the cache. It is fetched if it is not there.
pub(super) fn in_cache() -> Result<Server, String> {
    let folder = cache::folder("redis").map_err(|failure| failure.to_string())?;
    let server = Server { folder };
    if !server.program().is_file() {
        apt::unpack(&PACKAGES, &server.folder, |part| server.complete(part))?;
    }
    if !runs(&server.program().to_string_lossy(), "--version") {
        return Err(format!("{} does not run", server.program().display()));
    }
    Ok(server)
}

impl Server {
    /// The program that starts the server.
    pub(super) fn program(&self) -> PathBuf {
        self.folder.join("bin/redis-server")
    }

    /// The variable by which the tests find the program.
    pub(super) fn variable(&self) -> Option<(&'static str, OsString)> {
        let before = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.folder.join("bin")).chain(std::env::split_paths(&before));
        Some(("PATH", std::env::join_paths(folders).ok()?))
    }

    /// Adds a program to `part` that starts the server with its libraries, as they will be found once `part` has become the
    /// folder. Other programs must not get those libraries.
    fn complete(&self, part: &Path) -> Result<(), String> {
        if !part.join("usr/bin/redis-server").exists() {
            return Err("the packages hold no redis-server".to_owned());
        }
        let folder = self.folder.display();
        let libraries: Vec<_> = library_folders(part)
            .iter()
            .map(|path| format!("{folder}/{}", path.strip_prefix(part).unwrap_or(path).display()))
            .collect();
        let libraries = libraries.join(":");
        let script = format!(
            "#!/bin/sh\nLD_LIBRARY_PATH='{libraries}'\nexport LD_LIBRARY_PATH\nexec '{folder}/usr/bin/redis-server' \"$@\"\n"
        );
        let program = part.join("bin/redis-server");
        let written = fs::create_dir_all(part.join("bin"))
            .and_then(|()| fs::write(&program, script))
            .and_then(|()| make_executable(&program));
        written.map_err(|error| format!("{}: {error}", program.display()))
    }
}

fn make_executable(program: &Path) -> io::Result<()> {
    let mut permissions = fs::metadata(program)?.permissions();
    #[cfg(unix)]
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    fs::set_permissions(program, permissions)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_unpacked_server_is_started_with_its_libraries() {
        let folder = std::env::temp_dir().join(format!("xtask-redis-{}", std::process::id()));
        let part = folder.join("part");
        let server = Server { folder: folder.join("redis") };
        fs::create_dir_all(part.join("usr/bin")).unwrap();
        assert_eq!(server.complete(&part), Err("the packages hold no redis-server".to_owned()));

        fs::create_dir_all(part.join("usr/lib/x86_64-linux-gnu")).unwrap();
        fs::write(part.join("usr/lib/x86_64-linux-gnu/liblzf.so.1"), "").unwrap();
        let shows = "#!/bin/sh\necho \"$LD_LIBRARY_PATH $1\"\n";
        fs::write(part.join("usr/bin/redis-server"), shows).unwrap();
        make_executable(&part.join("usr/bin/redis-server")).unwrap();
        server.complete(&part).unwrap();
        fs::rename(&part, &server.folder).unwrap();
        let output = std::process::Command::new(server.program()).arg("--version").output().unwrap();
        let lib = server.folder.join("usr/lib");
        let expected = format!("{}/x86_64-linux-gnu:{} --version\n", lib.display(), lib.display());
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);

        let (name, path) = server.variable().unwrap();
        assert_eq!(name, "PATH");
        assert_eq!(std::env::split_paths(&path).next(), Some(server.folder.join("bin")));
        fs::remove_dir_all(&folder).unwrap();
    }
}
