//! The limits of the machine and of the process. The host answers each with an error that says what to do, or with a
//! warning if it can serve all the same. It never ends by a signal or a panic, and never waits forever.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Chain, FAULTY, Finished, Process, RELAY, Served, chainhost};

const ECHO: [&str; 3] = ["call", "chain.toml", r#"{"what": "echo:x"}"#];

/// Returns a command that runs `command` in a shell, after the line `limit`.
fn after(limit: &str, command: &Command) -> Command {
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(format!("{limit} && exec \"$0\" \"$@\"")).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

fn finish(command: Command) -> Finished {
    Process::start(command).finish()
}

/// Returns the names of the files in `folder`.
fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[tokio::test]
async fn a_limit_of_file_sizes_turns_off_only_the_cache() {
    let (chain, home) = (Chain::new(RELAY), tempfile::tempdir().unwrap());
    for limit in ["ulimit -f 0", "ulimit -f 4"] {
        let mut command = chain.command(&ECHO);
        command.env("XDG_CACHE_HOME", home.path());
        let finished = finish(after(limit, &command));
        assert_eq!(finished.answer(), "\"x\"\n");
        assert!(
            finished.stderr.contains("could not be cached") && finished.stderr.contains("ulimit -f"),
            "{finished:?}"
        );

        let mut command = chain.serve_command(&[]);
        command.env("XDG_CACHE_HOME", home.path());
        let served = Served::start(after(limit, &command));
        assert_eq!(served.ask("echo:x").await, "x");
        assert_eq!(files(&home.path().join("chainhost/code")), [""; 0], "there is no entry, not even a part of one");
    }
}

#[test]
fn an_answer_that_cannot_be_written_to_stdout_ends_with_7() {
    let (chain, folder) = (Chain::new(FAULTY), tempfile::tempdir().unwrap());
    let path = folder.path().join("answer");
    let into = |command: &Command, limit: &str, stdout: File| {
        let mut command = after(limit, command);
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let mut completions = chainhost();
    completions.args(["completions", "bash"]);
    let mut help = chainhost();
    help.arg("--help");
    for command in [&chain.command(&ECHO), &completions, &help] {
        let (code, stderr) = into(command, "ulimit -f 0", File::create(&path).unwrap());
        assert!(code == Some(7) && stderr.contains("ulimit -f"), "{code:?}: {stderr}");
        let (code, stderr) = into(command, "true", File::options().write(true).open("/dev/full").unwrap());
        assert!(code == Some(7) && stderr.contains("make room on the disk"), "{code:?}: {stderr}");
    }
}

#[test]
fn a_log_that_cannot_be_written_fails_no_call() {
    let (chain, folder) = (Chain::new(FAULTY), tempfile::tempdir().unwrap());
    let answer = |limit: &str, stderr: Stdio| {
        let mut command = after(limit, &chain.command(&["call", "chain.toml", r#"{"what": "print:1000"}"#]));
        let output = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let expected = (Some(0), "\"did print:1000\"\n".to_owned());
    let file = || File::create(folder.path().join("log")).unwrap();
    assert_eq!(answer("ulimit -f 0", file().into()), expected);
    assert_eq!(answer("true", File::options().write(true).open("/dev/full").unwrap().into()), expected);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(answer("true", writer.into()), expected);
    assert_eq!(answer("exec 2>&-", Stdio::null()), expected);
}

#[test]
fn a_closed_stdout_or_stderr_causes_no_panic() {
    let chain = Chain::new(FAULTY);
    for command in [&chain.command(&ECHO), &chain.command(&["check", "chain.toml"])] {
        for closed in ["exec 1>&-", "exec 1>&- 2>&-", "exec 0<&- 1>&- 2>&-"] {
            let Finished { code, stdout, stderr } = finish(after(closed, command));
            assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "", ""), "{closed}");
        }
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = after("true", command);
        command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
        assert_eq!(command.status().unwrap().code(), Some(0));
    }
}

#[test]
fn a_full_disk_turns_off_only_the_cache() {
    let (chain, home) = (Chain::new(FAULTY), tempfile::tempdir().unwrap());
    let namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "bash", "-c", script]);
        command
    };
    let small = format!("mount -t tmpfs -o size=64k,mode=700 tmpfs {}", home.path().display());
    if !namespace(&small).status().is_ok_and(|status| status.success()) {
        eprintln!("not tested: this system does not let users mount a small disk");
        return;
    }
    let mut command = chain.command(&ECHO);
    command.env("XDG_CACHE_HOME", home.path());
    let inner = after(&small, &command);
    let script = inner.get_args().nth(1).unwrap().to_str().unwrap().to_owned();
    let mut command = namespace(&script);
    command.args(inner.get_args().skip(2)).current_dir(chain.folder());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let finished = finish(command);
    assert_eq!(finished.answer(), "\"x\"\n");
    for words in ["could not be cached", "make room on the disk"] {
        assert!(finished.stderr.contains(words), "{}", finished.stderr);
    }
}

/// Runs `command` under higher and higher limits, until it succeeds. Each run before that must end with 7 and a message
/// that contains `word`.
fn raise(first: u32, limit: impl Fn(u32) -> String, command: &Command, word: &str) {
    for number in first.. {
        let finished = finish(after(&limit(number), command));
        if finished.code == Some(0) {
            assert_eq!(finished.stdout, "\"x\"\n");
            assert!(number > first, "even the lowest limit is enough, so the test shows nothing");
            return;
        }
        assert!(number < 200, "no limit is enough: {finished:?}");
        eprintln!("a limit of {number}: {}", finished.stderr.trim_end());
        finished.refused(7, &[word]);
    }
}

#[test]
fn every_error_from_too_few_open_files_names_the_limit() {
    let chain = Chain::new(FAULTY);
    // Loading the program with stdin, stdout and stderr takes four files.
    raise(4, |number| format!("ulimit -n {number}"), &chain.command(&ECHO), "ulimit -n");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("code")).unwrap();
    let with_files = FAULTY.to_owned()
        + &format!("assets.files = [{{ source = {:?}, path = \"/files\" }}]\n", folder.path().join("code"));
    raise(4, |number| format!("ulimit -n {number}"), &Chain::new(&with_files).command(&ECHO), "ulimit -n");
    let serve = after("ulimit -n 10", &chain.serve_command(&[]));
    finish(serve).refused(7, &["ulimit -n"]);
}

#[test]
fn every_error_from_too_few_threads_names_the_limit() {
    let (chain, home) = (Chain::new(FAULTY), tempfile::tempdir().unwrap());
    let mut cold = chain.command(&ECHO);
    cold.env("XDG_CACHE_HOME", home.path());
    let root = rustix::process::getuid().is_root();
    if !root {
        // This user has other threads, so only the limit of 1 is sure to be too low.
        return finish(after("ulimit -u 1", &cold)).refused(7, &["ulimit -u"]);
    }
    // The limit does not apply to root. So a user without other threads runs the program, with root's files.
    let mut command = Command::new("setpriv");
    command.args(["--ruid", "61234", "--bounding-set", "-sys_resource,-sys_admin"]);
    command.arg(cold.get_program()).args(cold.get_args()).current_dir(chain.folder());
    for (name, value) in cold.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    raise(1, |number| format!("ulimit -u {number}"), &command, "ulimit -u");
}

#[cfg(target_os = "linux")]
#[test]
fn the_error_names_the_setting_that_forbids_executable_memory() {
    use std::os::unix::process::CommandExt as _;
    let (chain, home) = (Chain::new(RELAY), tempfile::tempdir().unwrap());
    // SAFETY: the call only reads a setting of this process.
    if unsafe { libc::prctl(libc::PR_GET_MDWE, 0, 0, 0, 0) } < 0 {
        eprintln!("not tested: the kernel does not know MemoryDenyWriteExecute");
        return;
    }
    let check = |arguments: &[&str]| {
        let mut command = chain.command(arguments);
        command.env("XDG_CACHE_HOME", home.path());
        // SAFETY: the closure makes one system call, and touches no memory of the parent.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_MDWE, libc::PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            })
        };
        let finished = finish(command);
        finished.refused(7, &["does not let this process run compiled code", "MemoryDenyWriteExecute=no"]);
        assert_eq!(finished.stderr.matches("MemoryDenyWriteExecute").count(), 1, "once: {}", finished.stderr);
        assert!(!finished.stderr.contains("toolchain") && !finished.stderr.contains("unusable"), "{}", finished.stderr);
    };
    // The first round compiles, and the second uses the cache.
    for _ in 0..2 {
        check(&ECHO);
        check(&["check", "chain.toml"]);
        check(&["serve", "chain.toml", "--listen", "127.0.0.1:0"]);
        let mut command = chain.command(&ECHO);
        command.env("XDG_CACHE_HOME", home.path());
        finish(command).answer();
    }
}
