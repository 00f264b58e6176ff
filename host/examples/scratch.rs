use chainhost::{chain::CallOptions, host::Host};
#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().with_env_filter("info").init();
    let mut args = std::env::args().skip(1);
    let t = std::time::Instant::now();
    let host = Host::new().unwrap();
    let chain = match host.load_file(args.next().unwrap()).await { Ok(c) => c, Err(e) => { eprintln!("{e}"); return } };
    eprintln!("ready in {:?}", t.elapsed());
    let body = args.next().unwrap();
    match chain.call_json(body.as_bytes(), CallOptions::default()).await { Ok(a) => println!("{}", String::from_utf8_lossy(&a)), Err(e) => eprintln!("ERR {e}\n{:?} {:?}", e.guest_error(), e.backtrace()) }
    let n: u32 = args.next().map(|n| n.parse().unwrap()).unwrap_or(0);
    let t = std::time::Instant::now();
    for _ in 0..n { let _ = chain.call_json(body.as_bytes(), CallOptions::default()).await; }
    if n > 0 { eprintln!("{:?} a call", t.elapsed() / n); }
    chain.stop(std::time::Duration::from_secs(1)).await;
}
