//! What a process holds of the system, as Linux tells it.

use std::collections::BTreeMap;

/// What one process holds.
#[derive(Debug)]
pub struct Held {
    /// Bytes of memory that are resident.
    pub resident: u64,
    /// Of those, the bytes that are not pages of a file.
    pub anonymous: u64,
    /// The most bytes that were ever resident.
    pub peak: u64,
    /// Open file descriptors.
    pub files: usize,
    pub threads: u64,
}

impl Held {
    /// What the process `id` holds now.
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
