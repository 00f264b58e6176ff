//! Regular expressions for texts that stand for values, in the dialect of JSON Schema (ECMA-262): exactly what is read, so
//! that a client which checks by them sends nothing that is refused.

/// Base64 of the standard alphabet, with padding and no bits left over.
pub(super) const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// Seconds, or a number with a unit, above zero: as much of what the header `X-Request-Timeout` may be as a client needs.
pub(super) const TIMEOUT: &str = "^([1-9][0-9]{0,5}([.][0-9]{1,3})?|0[.][0-9]{0,2}[1-9])(ms|s|m|h)?$";

/// The integers from `minimum` to `maximum` in decimal digits, without a zero in front. `minimum` is not above zero.
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

/// The integers from 1 to `maximum`, which is above zero, as alternatives: those with fewer digits; then, for each digit of
/// `maximum`, those that have its digits before that one, and there a smaller one; and `maximum` itself.
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
    fn a_range_of_integers_has_its_ends_and_nothing_beyond() {
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
    fn base64_is_that_which_is_read() {
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
        fn a_range_of_integers_has_what_lies_within(maximum in 1_i128..100_000, value in -200_000_i128..200_000) {
            let (signed, unsigned) = (matcher(&integers(-maximum - 1, maximum)), matcher(&integers(0, maximum)));
            let text = json!(value.to_string());
            prop_assert_eq!(signed.is_valid(&text), (-maximum - 1..=maximum).contains(&value));
            prop_assert_eq!(unsigned.is_valid(&text), (0..=maximum).contains(&value));
        }
    }
}
