//! The memory, files and threads of a process, as Linux reports them.

use std::collections::BTreeMap;

/// The resources that one process holds.
#[derive(Debug)]
pub struct Held {
    /// The bytes of resident memory.
    pub resident: u64,
    /// The resident bytes that are not pages of a file.
    pub anonymous: u64,
    /// The highest number of resident bytes so far.
    pub peak: u64,
    /// The number of open file descriptors.
    pub files: usize,
    pub threads: u64,
}

impl Held {
    /// Reads the resources that the process `id` holds now.
    pub fn by(id: u32) -> Self {
        let folder = format!("/proc/{id}");
        let status = std::fs::read_to_string(format!("{folder}/status")).unwrap();
        let lines: BTreeMap<_, _> = status.lines().filter_map(|line| line.split_once(":\t")).collect();
        let number = |name: &str| lines[name].split_whitespace().next().unwrap().parse::<u64>().unwrap();
        let files = std::fs::read_dir(format!("{folder}/fd")).unwrap().count();
        let bytes = |name| number(name) * 1024;
        Held {
            resident: bytes("VmRSS"),
            peak: bytes("VmHWM"),
            anonymous: bytes("RssAnon"),
            files,
            threads: number("Threads"),
        }
    }
}
