//! The peak memory of a process, above its memory before. Each measurement has a process of its own, because memory
//! that an earlier one left would hide some.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::{bytes, http, runtime};

/// A sentence about the results.
pub const HOW: &str = "Peak memory is what the process had resident at most, above what it had with the chain loaded: \
    on Linux VmHWM of /proc/self/status, set back by writing 5 to /proc/self/clear_refs.";

/// The peak of resident memory since the start of the measurement.
pub struct Peak {
    before: Option<u64>,
}

impl Peak {
    pub fn start() -> Self {
        let set_back = std::fs::write("/proc/self/clear_refs", "5").is_ok();
        Peak { before: if set_back { kib("VmRSS:") } else { None } }
    }

    /// Returns the KiB at the peak above those at the start.
    pub fn above(&self) -> anyhow::Result<u64> {
        let before = self.before.context(NOT_MEASURED)?;
        Ok(kib("VmHWM:").context(NOT_MEASURED)?.saturating_sub(before))
    }
}

const NOT_MEASURED: &str = "not measured";

fn kib(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Returns the MiB at the peak of `what`, in a process of its own.
pub fn of(what: &[&str]) -> anyhow::Result<String> {
    if !cfg!(target_os = "linux") {
        return Ok(NOT_MEASURED.to_owned());
    }
    let output = Command::new(std::env::current_exe()?).arg("peak").args(what).stderr(Stdio::inherit()).output()?;
    anyhow::ensure!(output.status.success(), "the process that measures memory failed: {}", output.status);
    let kib: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(format!("{:.1}", kib / 1024.0))
}

/// Measures in this process, and prints the KiB.
pub fn once(what: &[&str]) -> anyhow::Result<()> {
    let kib = runtime()?.block_on(async {
        match what {
            ["bytes", interface, chunk] => bytes::once(interface, chunk.parse()?).await,
            ["http", side] => http::once(side).await,
            _ => bail!("there is no such measurement"),
        }
    })?;
    println!("{kib}");
    Ok(())
}
