//! Loads any bytes as a component, or as the text format of one. The component is compiled and its types are read, or
//! it is rejected with a reason. Nothing of it runs.
#![no_main]

use std::sync::LazyLock;

use chainhost::chain::LoadError;
use chainhost::config::{ChainSpec, ChainletSpec};
use chainhost::host::Host;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

#[expect(clippy::expect_used, reason = "without these there is nothing to fuzz")]
static HOST: LazyLock<(Host, Runtime)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    (Host::builder().without_code_cache().guest_threads(1).build().expect("a host starts"), runtime)
});

fuzz_target!(|data: &[u8]| {
    let Ok(bytes) = wat::parse_bytes(data) else { return };
    let chain = ChainSpec::builder("fuzz").chainlet("one", ChainletSpec::builder(bytes.into_owned())).build();
    let Ok(chain) = chain else { return };
    let (host, runtime) = &*HOST;
    match runtime.block_on(host.check(&chain)) {
        Ok(plan) => {
            for component in plan.chainlets.values() {
                assert!(component.run_remote.signature.to_string().contains("func("));
            }
        }
        Err(LoadError::Config(errors)) => {
            for error in &errors {
                assert!(!error.message().is_empty() && !error.help().is_empty(), "{error}");
                // The help is compared and not the message, because messages quote the fuzzed input.
                assert_ne!(error.help(), "report this as a bug of chainhost", "{error}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
