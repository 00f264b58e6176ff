//! Reads headers that are lists of elements with commas between them (RFC 9110, 5.6.1).

use http::{HeaderMap, HeaderName};

/// Returns the elements of a header from all its lines. Skips a line that is not text.
pub(super) fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|element| !element.is_empty())
}

/// Returns true if `token` is an element of a header. Ignores upper and lower case.
pub(super) fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use http::header::CONNECTION;

    use super::*;

    #[test]
    fn elements_come_from_all_lines_of_a_header() {
        let headers = HeaderMap::from_iter([
            (CONNECTION, "a, b ,,".parse().unwrap()),
            (CONNECTION, "\u{e9}".parse().unwrap()),
            (CONNECTION, "Close".parse().unwrap()),
        ]);
        assert_eq!(elements(&headers, CONNECTION).collect::<Vec<_>>(), ["a", "b", "Close"]);
        assert!(has_token(&headers, CONNECTION, "close") && !has_token(&headers, CONNECTION, "clos"));
    }
}
