//! A small JSON reader and writer, with only the parts that questions to a chain and its answers need.

use std::iter::Peekable;
use std::str::Chars;

/// The deepest nesting that is read. No answer to a task is as deep.
const DEPTH: usize = 32;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`, `true` or `false`. No task needs to know which.
    Word,
    /// A number.
    Number(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, with its members in their order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a text that is one JSON value. Returns `None` if it is not.
    pub fn read(text: &str) -> Option<Json> {
        let mut reader = Reader(text.chars().peekable());
        let value = reader.value(DEPTH)?;
        reader.space();
        reader.0.next().is_none().then_some(value)
    }

    /// Returns the member of this name.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Returns the elements of an array.
    pub fn list(&self) -> Option<&[Json]> {
        if let Json::List(elements) = self { Some(elements) } else { None }
    }

    /// Returns the characters of a string.
    pub fn text(&self) -> Option<&str> {
        if let Json::Text(text) = self { Some(text) } else { None }
    }

    /// Returns the value of a number.
    pub fn number(&self) -> Option<f64> {
        if let Json::Number(number) = self { Some(*number) } else { None }
    }
}

/// Returns `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\0'..='\x1f' => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

struct Reader<'t>(Peekable<Chars<'t>>);

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Json> {
        let depth = depth.checked_sub(1)?;
        self.space();
        match self.0.peek()? {
            '"' => self.string().map(Json::Text),
            '[' => {
                let mut elements = Vec::new();
                self.sequence(']', |reader| reader.value(depth).map(|element| elements.push(element)))?;
                Some(Json::List(elements))
            }
            '{' => {
                let mut members = Vec::new();
                self.sequence('}', |reader| {
                    let name = reader.string()?;
                    reader.space();
                    reader.0.next_if_eq(&':')?;
                    members.push((name, reader.value(depth)?));
                    Some(())
                })?;
                Some(Json::Object(members))
            }
            _ => self.scalar(),
        }
    }

    /// Reads the parts between a bracket and its `end`, which commas separate.
    fn sequence(&mut self, end: char, mut one: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.0.next()?;
        self.space();
        if self.0.next_if_eq(&end).is_some() {
            return Some(());
        }
        loop {
            self.space();
            one(self)?;
            self.space();
            match self.0.next()? {
                ',' => {}
                last => return (last == end).then_some(()),
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        self.0.next_if_eq(&'"')?;
        let mut text = String::new();
        loop {
            match self.0.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                character => text.push(character),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.0.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\x08',
            'f' => '\x0c',
            'u' => {
                let first = self.unit()?;
                let second = match first {
                    0xd800..0xdc00 => {
                        self.0.next_if_eq(&'\\')?;
                        self.0.next_if_eq(&'u')?;
                        Some(self.unit()?)
                    }
                    _ => None,
                };
                char::decode_utf16(std::iter::once(first).chain(second)).next()?.ok()?
            }
            other => other,
        })
    }

    /// Reads four hexadecimal digits.
    fn unit(&mut self) -> Option<u16> {
        let digits: String = self.0.by_ref().take(4).collect();
        (digits.len() == 4).then(|| u16::from_str_radix(&digits, 16).ok())?
    }

    fn scalar(&mut self) -> Option<Json> {
        let mut word = String::new();
        while let Some(character) = self.0.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.')) {
            word.push(character);
        }
        match word.as_str() {
            "null" | "true" | "false" => Some(Json::Word),
            _ if word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => word.parse().ok().map(Json::Number),
            _ => None,
        }
    }

    fn space(&mut self) {
        while self.0.next_if(char::is_ascii_whitespace).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let answer =
            Json::read(r#" {"passages": [{"text": "a \"b\"\n\u00e9\ud83d\ude00", "score": -2.5e1}], "n": []} "#)
                .unwrap();
        let passage = &answer.get("passages").unwrap().list().unwrap()[0];
        assert_eq!(passage.get("text").unwrap().text(), Some("a \"b\"\né😀"));
        assert_eq!(passage.get("score").unwrap().number(), Some(-25.0));
        assert_eq!(answer.get("n").unwrap().list(), Some(&[][..]));
        assert_eq!(Json::read("[null, true, {}]").unwrap().list().map(<[_]>::len), Some(3));
    }

    #[test]
    fn text_that_is_no_json_is_refused() {
        let deep = "[".repeat(1000);
        for text in ["", "{", "[1,", "[1 2]", "{\"a\" 1}", "\"a", "\"\\ud800\"", "nul", "1 2", "-", &deep] {
            assert_eq!(Json::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_quoted_text_is_read_unchanged() {
        let text = "Who said \"C:\\\"?\n\u{1}é";
        assert_eq!(Json::read(&quoted(text)).unwrap().text(), Some(text));
    }
}
