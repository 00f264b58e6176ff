//! Server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::collections::VecDeque;

use super::{Error, ErrorKind, Response};

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Its type; `message` by default.
    pub name: String,
    /// Its data. Several lines are joined with line feeds.
    pub data: String,
    /// The last id that the server sent; empty if it sent none.
    pub id: String,
}

/// The events of an answer; see [`Response::events`].
#[derive(Debug)]
pub struct Events {
    response: Response,
    parser: Parser,
}

impl Events {
    pub(super) fn new(response: Response) -> Self {
        Events { response, parser: Parser::default() }
    }

    /// Returns the next event; `None` at the end of the body.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`Response::chunk`], with [`ErrorKind::Decode`] if the body is not UTF-8, and with
    /// [`ErrorKind::TooLarge`] if an event has more bytes than [`Response::limit`] allows.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.parser.events.pop_front() {
                return Ok(Some(event));
            }
            let Some(chunk) = self.response.chunk().await? else { return Ok(None) };
            self.parser.push(&chunk, self.response.body_limit()).map_err(|error| error.of(self.response.asked()))?;
        }
    }
}

/// Parses events from pieces of text that may end anywhere.
#[derive(Debug, Default)]
struct Parser {
    /// The part of the current line that has arrived.
    line: Vec<u8>,
    /// True if a carriage return ended the last line. A line feed after it belongs to the same line end.
    after_return: bool,
    /// True after the first line, which alone may begin with a byte order mark.
    begun: bool,
    name: String,
    data: Option<String>,
    id: String,
    events: VecDeque<Event>,
}

impl Parser {
    fn push(&mut self, bytes: &[u8], limit: usize) -> Result<(), Error> {
        for byte in bytes {
            let after_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if after_return => {}
                b'\n' => self.end_of_line()?,
                b'\r' => {
                    self.after_return = true;
                    self.end_of_line()?;
                }
                byte => self.line.push(*byte),
            }
            if self.line.len() + self.data.as_ref().map_or(0, String::len) > limit {
                return Err(Error::new(ErrorKind::TooLarge, format!("an event has more than {limit} bytes")));
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self) -> Result<(), Error> {
        let line = String::from_utf8(std::mem::take(&mut self.line))
            .map_err(|_| Error::new(ErrorKind::Decode, "the events are not UTF-8"))?;
        let line = match std::mem::replace(&mut self.begun, true) {
            false => line.strip_prefix('\u{feff}').unwrap_or(&line),
            true => &line,
        };
        if line.is_empty() {
            self.end_of_event();
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            // A comment, the field `retry`, or a field that the standard does not know: all are ignored.
            _ => {}
        }
        Ok(())
    }

    fn end_of_event(&mut self) {
        let name = std::mem::take(&mut self.name);
        let Some(data) = self.data.take() else { return };
        let name = if name.is_empty() { "message".to_owned() } else { name };
        self.events.push_back(Event { name, data, id: self.id.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut parser = Parser::default();
        pieces.iter().for_each(|piece| parser.push(piece, 100).unwrap());
        parser.events.into_iter().map(|event| (event.name, event.data)).collect()
    }

    fn event(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn an_empty_line_ends_an_event_for_any_line_ending() {
        let expected = [event("message", "one"), event("done", "")];
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("data: one{end}{end}: a comment{end}event: done{end}data{end}{end}data: cut off{end}");
            assert_eq!(parse(&[text.as_bytes()]), expected, "{end:?}");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(parse(&bytes), expected, "{end:?}, a byte at a time");
        }
    }

    #[test]
    fn data_lines_are_joined_without_their_leading_space() {
        assert_eq!(parse(&[b"data:a\ndata:  b\ndata\n\n"]), [event("message", "a\n b\n")]);
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_characters_may_be_split() {
        let text = "\u{feff}data: ü\n\n".as_bytes();
        let (head, tail) = text.split_at(10);
        assert_eq!(parse(&[head, tail]), [event("message", "ü")]);
    }

    #[test]
    fn an_id_stays_until_another_comes() {
        let mut parser = Parser::default();
        parser.push(b"id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", 100).unwrap();
        let ids: Vec<_> = parser.events.into_iter().map(|event| event.id).collect();
        assert_eq!(ids, ["7", "7", ""]);
    }

    #[test]
    fn an_event_over_the_limit_is_rejected() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(&[b'x'; 200], 100).unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(Parser::default().push(b"data: \xff\n", 100).unwrap_err().kind(), ErrorKind::Decode);
    }
}
