//! Server-sent events, read as their bytes come.

/// The most bytes that one line, or the data of one event, may have.
const LONGEST: usize = 64 * 1024;

/// Reads server-sent events. It keeps the part of an event that has come so far.
#[derive(Debug, Default)]
pub struct Events {
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// The lines of data of the event that is not complete yet.
    data: Option<String>,
    /// Whether the last byte was a carriage return. A line feed after it belongs to it.
    after_return: bool,
}

/// An event is longer than a reader can accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl Events {
    /// Reads more bytes. Returns the data of each event that they complete.
    ///
    /// # Errors
    ///
    /// If a line or an event is too long.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut complete = Vec::new();
        for &byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => complete.extend(self.end_line()?),
                _ if self.line.len() == LONGEST => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(complete)
    }

    /// Ends a line. If it was blank, it ends an event, whose data this returns.
    fn end_line(&mut self) -> Result<Option<String>, TooLong> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return Ok(self.data.take());
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) if data.len() + value.len() > LONGEST => return Err(TooLong),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                data @ None => *data = Some(value.to_owned()),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_wherever_their_bytes_are_divided() {
        let text =
            ": hello\n\ndata: one\n\nevent: x\r\ndata: t\u{77ed}wo\r\ndata:three\r\n\r\nid: 7\rdata\r\rdata: cut"
                .as_bytes();
        for size in 1..text.len() {
            let mut events = Events::default();
            let read: Vec<_> = text.chunks(size).flat_map(|bytes| events.read(bytes).unwrap()).collect();
            assert_eq!(read, ["one", "t\u{77ed}wo\nthree", ""], "in pieces of {size} bytes");
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let mut events = Events::default();
        assert_eq!(events.read(&[b'x'; LONGEST]), Ok(vec![]));
        assert_eq!(events.read(b"x"), Err(TooLong));
    }

    #[test]
    fn an_event_without_an_end_is_refused() {
        let mut events = Events::default();
        let line = format!("data: {}\n", "x".repeat(LONGEST / 2));
        assert_eq!(events.read(line.as_bytes()), Ok(vec![]));
        assert_eq!(events.read(line.as_bytes()), Ok(vec![]));
        assert_eq!(events.read(line.as_bytes()), Err(TooLong));
    }
}
