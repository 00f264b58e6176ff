//! "Did you mean …?"

use chainhost::config::{ChainSpec, ChainletName};

use super::{Exit, Failure};

/// The least likeness of two names, from 0 to 1, for which one is suggested in place of the other.
const ALIKE: f64 = 0.8;

/// Returns the chainlet of this name. If there is none, the failure suggests the nearest name or lists all names.
pub fn chainlet<'s>(spec: &'s ChainSpec, name: &str) -> Result<&'s ChainletName, Failure> {
    if let Some((name, _)) = spec.chainlets.get_key_value(name) {
        return Ok(name);
    }
    let names = || spec.chainlets.keys().map(ChainletName::as_str);
    let nearest = names()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let help = match nearest {
        Some((_, near)) => format!("did you mean `{near}`?"),
        None => format!("its chainlets are: {}", names().collect::<Vec<_>>().join(", ")),
    };
    Err(Failure::new(Exit::Usage, format_args!("the chain `{}` has no chainlet `{name}`; {help}", spec.name)))
}

#[cfg(test)]
mod tests {
    use chainhost::config::ChainletSpec;

    use super::*;

    #[test]
    fn an_unknown_chainlet_is_answered_with_the_nearest_or_with_all() {
        let spec = ChainSpec::builder("c")
            .chainlet("say-hello", ChainletSpec::builder("a.wasm"))
            .chainlet("rank", ChainletSpec::builder("b.wasm"))
            .build()
            .unwrap();
        assert_eq!(chainlet(&spec, "rank").unwrap().as_str(), "rank");
        let message = chainlet(&spec, "say_hello").unwrap_err().to_string();
        assert!(message.ends_with("did you mean `say-hello`?"), "{message}");
        let message = chainlet(&spec, "zzz").unwrap_err().to_string();
        assert!(message.ends_with("its chainlets are: say-hello, rank"), "{message}");
    }
}
