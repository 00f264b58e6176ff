//! Load from [wrk](https://github.com/wg/wrk), a client in a process of its own, if it is installed.

use std::process::Command;
use std::time::Duration;

use anyhow::Context;

/// Returns its name and version; `None` if it is not installed.
pub fn version() -> Option<String> {
    // With this argument, wrk prints its version and its usage, and fails.
    let output = Command::new("wrk").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// Posts `body` to the server at `address` again and again for `time`. Returns the successful requests per second.
pub fn load(address: &str, body: &str, connections: usize, time: Duration) -> anyhow::Result<f64> {
    let script = std::env::temp_dir().join(format!("chainhost-bench-{}.lua", std::process::id()));
    std::fs::write(
        &script,
        format!(
            "wrk.method = 'POST'\nwrk.body = '{body}'\nwrk.headers['content-type'] = 'application/json'\n\
             done = function(summary)\n  io.write(string.format('failed %d\\n', summary.errors.status))\nend\n"
        ),
    )?;
    let output = Command::new("wrk")
        .args(["-t2", &format!("-c{connections}"), &format!("-d{}s", time.as_secs()), "-s"])
        .arg(&script)
        .arg(format!("http://{address}/run_remote"))
        .output()?;
    // A script that is left behind does no harm.
    let _ = std::fs::remove_file(&script);
    let text = String::from_utf8_lossy(&output.stdout);
    let value = |name: &str| {
        text.lines().find_map(|line| line.trim().strip_prefix(name)).and_then(|value| value.trim().parse::<f64>().ok())
    };
    anyhow::ensure!(value("failed") == Some(0.0), "wrk saw failures:\n{text}");
    value("Requests/sec:").with_context(|| format!("wrk says no rate:\n{text}"))
}
