//! The common name in the subject of a certificate, which is DER (X.690) of the type `Name` (RFC 5280, 4.1.2.4).
//!
//! `rustls-webpki` reads everything else in a certificate, but leaves the subject as it is. The crates that read the
//! subject bring an ASN.1 parser and procedural macros, which is much for these few lines.

const SET: u8 = 0x31;
const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// The types of text that hold ASCII or UTF-8: `UTF8String`, `PrintableString`, `TeletexString`, `IA5String`.
const TEXTS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];
/// `id-at-commonName`, 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// Returns the first common name in `subject`, which is a sequence of sets of pairs of a kind and a text.
pub(super) fn common_name(mut subject: &[u8]) -> Option<&str> {
    while let Some((SET, mut names, other_sets)) = element(subject) {
        while let Some((SEQUENCE, name, other_names)) = element(names) {
            if let Some((OBJECT_IDENTIFIER, kind, value)) = element(name)
                && kind == COMMON_NAME
                && let Some((tag, text, _)) = element(value)
                && TEXTS.contains(&tag)
            {
                return str::from_utf8(text).ok();
            }
            names = other_names;
        }
        subject = other_sets;
    }
    None
}

/// Returns the tag and the contents of the first element, and the bytes after it. Returns `None` if the element is
/// malformed, or longer than 64 KiB.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, der) = der.split_first()?;
    let (length, der) = der.split_first()?;
    let (length, der) = match length {
        0..=0x7f => (usize::from(*length), der),
        0x81 => der.split_first().map(|(length, der)| (usize::from(*length), der))?,
        0x82 => der.split_first_chunk().map(|(length, der)| (usize::from(u16::from_be_bytes(*length)), der))?,
        _ => return None,
    };
    let (contents, rest) = der.split_at_checked(length)?;
    Some((*tag, contents, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_common_name_is_found_among_other_names() {
        let organization = b"\x31\x0a\x30\x08\x06\x03\x55\x04\x0a\x13\x01\x78";
        let name = b"\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03Ada";
        assert_eq!(common_name(&[&organization[..], name].concat()), Some("Ada"));
        assert_eq!(common_name(&[&name[..], organization].concat()), Some("Ada"));
        assert_eq!(common_name(organization), None);
        assert_eq!(common_name(&name[..name.len() - 1]), None);
        assert_eq!(common_name(b""), None);
    }

    #[test]
    fn long_lengths_are_read() {
        let text = "x".repeat(300);
        let value = [&b"\x06\x03\x55\x04\x03\x0c\x82\x01\x2c"[..], text.as_bytes()].concat();
        let pair = [&b"\x30\x82\x01\x35"[..], &value].concat();
        let set = [&b"\x31\x82\x01\x39"[..], &pair].concat();
        assert_eq!(common_name(&set), Some(&*text));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = common_name(&bytes);
        }
    }
}
