//! A load generator. Each of its connections sends one prepared request after the other.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Returns the requests per second that a server answers, over `connections` that are kept alive, in `time` after a
/// warm-up.
pub async fn load(address: &str, body: &str, connections: usize, time: Duration) -> anyhow::Result<f64> {
    let request = format!(
        "POST /run_remote HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let warm = Instant::now() + Duration::from_secs(1);
    let end = warm + time;
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (address, request) = (address.to_string(), request.clone());
        tasks.push(tokio::spawn(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            connection(stream, request.as_bytes(), warm, end).await
        }));
    }
    let mut answers = 0;
    for task in tasks {
        answers += task.await??;
    }
    Ok(answers as f64 / time.as_secs_f64())
}

async fn connection(mut stream: TcpStream, request: &[u8], warm: Instant, end: Instant) -> anyhow::Result<u64> {
    let mut buffer = Vec::with_capacity(4096);
    let mut answers = 0;
    loop {
        stream.write_all(request).await?;
        buffer.clear();
        loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            if is_whole(&buffer)? {
                break;
            }
        }
        let now = Instant::now();
        if now >= end {
            return Ok(answers);
        }
        if now >= warm {
            answers += 1;
        }
    }
}

/// Returns true if `bytes` is a whole answer. Fails if its status is not 200.
fn is_whole(bytes: &[u8]) -> anyhow::Result<bool> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
    let text = std::str::from_utf8(bytes.get(..head).unwrap_or_default())?;
    if !text.starts_with("HTTP/1.1 200") {
        bail!("not answered: {}", String::from_utf8_lossy(bytes));
    }
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .context("an answer without length")?;
    Ok(bytes.len() >= head + 4 + length.1.trim().parse::<usize>()?)
}
