//! The W3C trace context of a request (<https://www.w3.org/TR/trace-context/>), which the host passes on from call to
//! call.

/// The longest `tracestate` that is passed on, in bytes. The specification asks platforms to pass on 512.
const LONGEST_STATE: usize = 512;

/// A trace context: the contents of its two headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    parent: String,
    state: String,
}

impl TraceContext {
    /// Makes the context of the headers `traceparent` and `tracestate`. Returns `None` if `parent` does not have the
    /// form in the specification. Drops a `state` that is too long, as the specification allows.
    ///
    /// ```
    /// # use chainhost_core as chainhost;
    /// use chainhost::trace::TraceContext;
    ///
    /// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// assert_eq!(TraceContext::new(parent, "").unwrap().parent(), parent);
    /// assert_eq!(TraceContext::new("00-0-0-01", ""), None);
    /// ```
    pub fn new(parent: &str, state: &str) -> Option<Self> {
        let mut fields = parent.split('-');
        let mut field = |length: usize| {
            let field = fields.next()?;
            let is_hex = field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            is_hex.then_some(field)
        };
        let (version, trace, span, _flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        let is_zero = |field: &str| field.bytes().all(|byte| byte == b'0');
        // Later versions may have more fields, and version 00 has none.
        if version == "ff" || is_zero(trace) || is_zero(span) || version == "00" && fields.next().is_some() {
            return None;
        }
        let state = if state.len() <= LONGEST_STATE { state } else { "" };
        Some(TraceContext { parent: parent.to_owned(), state: state.to_owned() })
    }

    /// Returns the header `traceparent`.
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// Returns the header `tracestate`; empty if there is none.
    pub fn state(&self) -> &str {
        &self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_context_is_of_the_specified_form() {
        assert_eq!(TraceContext::new(PARENT, "a=1").unwrap().state(), "a=1");
        assert!(TraceContext::new(&PARENT.replacen("00", "01", 1), "").is_some());
        assert!(TraceContext::new(&format!("01{}-more", &PARENT[2..]), "").is_some(), "a later version");
        for bad in [
            "",
            "00",
            &PARENT.to_uppercase(),
            &PARENT.replacen("00", "ff", 1),
            &format!("{PARENT}-more"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(TraceContext::new(bad, ""), None, "{bad}");
        }
        assert_eq!(TraceContext::new(PARENT, &"x".repeat(513)).unwrap().state(), "");
    }
}
