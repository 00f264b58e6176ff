//! Reads any text as a chain.toml. It is read or rejected, and an error says where the mistake is, why it is one, and
//! what to do.
#![no_main]

use std::path::Path;

use chainhost::config::ChainSpec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match ChainSpec::from_toml(text, Path::new("chain.toml")) {
        Ok(spec) => assert!(spec.validate().is_ok(), "what was read does not hold"),
        Err(errors) => {
            assert!(errors.iter().count() > 0, "a refusal without a reason");
            for error in &errors {
                assert!(!error.message().is_empty() && !error.help().is_empty(), "{error}");
                assert!(error.location().to_string().starts_with("chain.toml"), "{error}");
            }
        }
    }
});
