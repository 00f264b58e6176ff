//! The events of `/v1/chat/completions` with `stream: true`.

use serde::Deserialize;

/// The content of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// The next piece of the text.
    Text(String),
    /// The text is complete.
    Stop,
    /// The text has reached the limit of its tokens.
    Length,
    /// The server says that it failed.
    Failed,
    /// The stream has ended.
    Done,
    /// The event does not concern the text.
    Nothing,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Content,
    finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct Content {
    content: Option<String>,
}

impl Delta {
    /// Reads the data of an event.
    ///
    /// # Errors
    ///
    /// Fails if the data has another form than such a server sends.
    pub fn read(data: &str) -> Result<Vec<Self>, serde_json::Error> {
        if data == "[DONE]" {
            return Ok(vec![Self::Done]);
        }
        let chunk: Chunk = serde_json::from_str(data)?;
        if chunk.error.is_some() {
            return Ok(vec![Self::Failed]);
        }
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(vec![Self::Nothing]) };
        let text = choice.delta.content.filter(|text| !text.is_empty()).map(Self::Text);
        let end = choice.finish_reason.map(|reason| if reason == "length" { Self::Length } else { Self::Stop });
        Ok(text.into_iter().chain(end).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_a_text_or_an_end_or_both() {
        let read = |data| Delta::read(data).unwrap();
        let text = || Delta::Text("Two".to_owned());
        assert_eq!(read(r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#), []);
        assert_eq!(read(r#"{"choices":[{"index":0,"delta":{"content":"Two"}}]}"#), [text()]);
        assert_eq!(
            read(r#"{"choices":[{"delta":{"content":"Two"},"finish_reason":"length"}]}"#),
            [text(), Delta::Length]
        );
        assert_eq!(read(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#), [Delta::Stop]);
        assert_eq!(read(r#"{"choices":[],"usage":{"total_tokens":7}}"#), [Delta::Nothing]);
        assert_eq!(read(r#"{"error":{"message":"overloaded"}}"#), [Delta::Failed]);
        assert_eq!(read("[DONE]"), [Delta::Done]);
        assert!(Delta::read("<html>").is_err());
    }
}
