//! Regular expressions for values that are written as texts, in the dialect of JSON Schema (ECMA-262). They match only
//! texts that the host reads, so a client that checks by them sends nothing that the host rejects.

/// Base64 in the standard alphabet, with padding, and with zeros in the unused bits of the last character.
pub(super) const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// A time above zero for the header `X-Request-Timeout`: seconds, or a number with a unit. The host reads more
/// spellings, but no client needs them.
pub(super) const TIMEOUT: &str = "^([1-9][0-9]{0,5}([.][0-9]{1,3})?|0[.][0-9]{0,2}[1-9])(ms|s|m|h)?$";

/// Returns the pattern of the integers from `minimum` to `maximum` in decimal digits, without leading zeros. `minimum`
/// must not be above zero.
pub(super) fn integers(minimum: i128, maximum: i128) -> String {
    let positive = up_to(maximum.unsigned_abs());
    match minimum.unsigned_abs() {
        0 => format!("^(0|{positive})$"),
        lowest => {
            let negative = up_to(lowest);
            if negative == positive {
                format!("^(0|-?({positive}))$")
            } else {
                format!("^(0|{positive}|-({negative}))$")
            }
        }
    }
}

/// Returns the integers from 1 to `maximum`, which must be above zero, as alternatives. First come those with fewer
/// digits. Then, for each digit of `maximum`, come those that have the same digits before it and a smaller digit in its
/// place. Last comes `maximum` itself.
fn up_to(maximum: u128) -> String {
    let digits = maximum.to_string();
    let mut alternatives = Vec::new();
    match digits.len() {
        0 | 1 => {}
        2 => alternatives.push("[1-9]".to_owned()),
        count => alternatives.push(format!("[1-9][0-9]{{0,{}}}", count - 2)),
    }
    for (place, digit) in digits.bytes().enumerate() {
        let lowest = if place == 0 { b'1' } else { b'0' };
        let smaller = match digit.checked_sub(1) {
            Some(smaller) if smaller > lowest => format!("[{}-{}]", char::from(lowest), char::from(smaller)),
            Some(smaller) if smaller == lowest => char::from(smaller).to_string(),
            _ => continue,
        };
        let (before, rest) = (digits.get(..place).unwrap_or_default(), digits.len() - place - 1);
        let rest = match rest {
            0 => String::new(),
            1 => "[0-9]".to_owned(),
            rest => format!("[0-9]{{{rest}}}"),
        };
        alternatives.push(format!("{before}{smaller}{rest}"));
    }
    alternatives.push(digits);
    alternatives.join("|")
}

#[cfg(test)]
mod tests {
    use jsonschema::Validator;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn matcher(pattern: &str) -> Validator {
        jsonschema::draft202012::new(&json!({ "pattern": pattern })).unwrap()
    }

    #[test]
    fn the_pattern_of_a_range_matches_its_ends_and_nothing_beyond() {
        for (minimum, maximum) in [
            (0, u8::MAX.into()),
            (0, u64::MAX.into()),
            (i8::MIN.into(), i8::MAX.into()),
            (i64::MIN.into(), i64::MAX.into()),
            (0, 1),
            (0, 10_i128),
            (-5, 100),
        ] {
            let matcher = matcher(&integers(minimum, maximum));
            for inside in [minimum, maximum, 0, 1, minimum + 1, maximum - 1] {
                assert_eq!(
                    matcher.is_valid(&json!(inside.to_string())),
                    (minimum..=maximum).contains(&inside),
                    "{inside}"
                );
            }
            for outside in [minimum - 1, maximum + 1, minimum * 10 - 1, maximum * 10] {
                assert!(!matcher.is_valid(&json!(outside.to_string())), "{outside} of {minimum}..={maximum}");
            }
            for wrong in ["", "00", "01", "-0", "+1", "1.0", "1e0", " 1", "1 ", "-", "a"] {
                assert!(!matcher.is_valid(&json!(wrong)), "{wrong}");
            }
        }
    }

    #[test]
    fn the_pattern_of_base64_matches_what_the_host_reads() {
        let matcher = matcher(BASE64);
        for text in ["", "QQ==", "QUI=", "QUJD", "QUJDRA==", "+/+/"] {
            assert!(matcher.is_valid(&json!(text)), "{text}");
        }
        for text in ["Q", "QQ", "QQ=", "QR==", "QUK=", "QUJD=", "====", "QQ==QQ==", "-_-_", "QUJD\n", "Q Q="] {
            assert!(!matcher.is_valid(&json!(text)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_the_integers_of_its_range(maximum in 1_i128..100_000, value in -200_000_i128..200_000) {
            let (signed, unsigned) = (matcher(&integers(-maximum - 1, maximum)), matcher(&integers(0, maximum)));
            let text = json!(value.to_string());
            prop_assert_eq!(signed.is_valid(&text), (-maximum - 1..=maximum).contains(&value));
            prop_assert_eq!(unsigned.is_valid(&text), (0..=maximum).contains(&value));
        }
    }
}
