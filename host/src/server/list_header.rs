//! Headers that are lists of elements with commas between them (RFC 9110, 5.6.1).

use http::{HeaderMap, HeaderName};

/// The elements of a header, of all its lines together. A line that is no text has none.
pub(super) fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|element| !element.is_empty())
}

/// Whether `token` is an element of a header, in upper or lower case.
pub(super) fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use http::header::CONNECTION;

    use super::*;

    #[test]
    fn elements_are_those_of_all_lines() {
        let headers = HeaderMap::from_iter([
            (CONNECTION, "a, b ,,".parse().unwrap()),
            (CONNECTION, "\u{e9}".parse().unwrap()),
            (CONNECTION, "Close".parse().unwrap()),
        ]);
        assert_eq!(elements(&headers, CONNECTION).collect::<Vec<_>>(), ["a", "b", "Close"]);
        assert!(has_token(&headers, CONNECTION, "close") && !has_token(&headers, CONNECTION, "clos"));
    }
}
