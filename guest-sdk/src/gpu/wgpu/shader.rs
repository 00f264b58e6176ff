//! Shader modules, and the messages about them.

use std::future::ready;
use std::pin::Pin;

use wgpu::custom::{ShaderCompilationInfoFuture, ShaderModuleInterface};
use wgpu::{CompilationInfo, CompilationMessage, CompilationMessageType, ShaderSource, SourceLocation};

use super::object::Object;
use super::shared::{Shared, absent};
use crate::gpu::{Error, ErrorKind};
use crate::host::chainlet::host::gpu as host;

#[derive(Debug)]
pub struct ShaderModule {
    pub module: Object<host::ShaderModule>,
    info: CompilationInfo,
}

impl ShaderModule {
    pub fn new(shared: &Shared, descriptor: &wgpu::ShaderModuleDescriptor<'_>) -> Self {
        let made = make(shared, descriptor);
        let messages = match (&made, &descriptor.source) {
            (Err(error), ShaderSource::Wgsl(wgsl)) if error.kind() == ErrorKind::Invalid => {
                vec![message(error.message(), wgsl)]
            }
            _ => Vec::new(),
        };
        let made = shared.made("Device::create_shader_module", descriptor.label, made);
        ShaderModule { module: module(descriptor.label, made), info: CompilationInfo { messages } }
    }

    pub fn invalid(label: Option<&str>) -> Self {
        ShaderModule { module: module(label, None), info: CompilationInfo { messages: Vec::new() } }
    }
}

fn module(label: Option<&str>, made: Option<host::ShaderModule>) -> Object<host::ShaderModule> {
    Object::new("ShaderModule", label, made)
}

fn make(shared: &Shared, descriptor: &wgpu::ShaderModuleDescriptor<'_>) -> Result<host::ShaderModule, Error> {
    match &descriptor.source {
        ShaderSource::Wgsl(wgsl) => Ok(shared.host.create_shader_module(descriptor.label, wgsl)?),
        _ => Err(absent("shaders in other languages than WGSL")),
    }
}

fn message(text: &str, wgsl: &str) -> CompilationMessage {
    CompilationMessage {
        message: text.to_owned(),
        message_type: CompilationMessageType::Error,
        location: place(text).map(|(line, column)| location(wgsl, line, column)),
    }
}

/// Returns the line and the column that a message is about, both counted from
/// 1. The message shows them as `┌─ wgsl:3:5`.
fn place(text: &str) -> Option<(u32, u32)> {
    let (_, at) = text.split_once("┌─ ")?;
    let mut numbers = at.lines().next()?.trim_end().rsplit(':');
    let column = numbers.next()?.parse().ok()?;
    let line = numbers.next()?.parse().ok()?;
    Some((line, column))
}

/// Returns the place of a line and a column in the text. The host's columns
/// count characters; wgpu's count bytes.
fn location(wgsl: &str, line: u32, column: u32) -> SourceLocation {
    let before = line.saturating_sub(1) as usize;
    let start: usize = wgsl.split_inclusive('\n').take(before).map(str::len).sum();
    let text = wgsl.split_inclusive('\n').nth(before).unwrap_or_default();
    let skipped: usize = text.chars().take(column.saturating_sub(1) as usize).map(char::len_utf8).sum();
    let rest = text.get(skipped..).unwrap_or_default();
    let word = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    SourceLocation {
        line_number: line,
        line_position: skipped as u32 + 1,
        offset: (start + skipped) as u32,
        length: word.max(1) as u32,
    }
}

impl ShaderModuleInterface for ShaderModule {
    fn get_compilation_info(&self) -> Pin<Box<dyn ShaderCompilationInfoFuture>> {
        Box::pin(ready(self.info.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "
Shader '' parsing error: no definition in scope for identifier: `nothing`
  ┌─ wgsl:2:20
  │
2 │ fn é() -> f32 { return nothing; }
  │                        ^^^^^^^ unknown identifier
";

    #[test]
    fn the_place_is_read_from_the_message() {
        assert_eq!(place(MESSAGE), Some((2, 20)));
        assert_eq!(place("the module is too large"), None);
    }

    #[test]
    fn a_place_counts_bytes_and_spans_a_word() {
        let wgsl = "// é\nfn é() -> f32 { return nothing; }\n";
        let location = location(wgsl, 2, 24);
        let (start, length) = (location.offset as usize, location.length as usize);
        assert_eq!(&wgsl[start..start + length], "nothing");
        assert_eq!((location.line_number, location.line_position), (2, 25));
    }

    #[test]
    fn a_place_beyond_the_text_is_at_its_end() {
        let location = location("fn", 7, 9);
        assert_eq!((location.offset, location.length), (2, 1));
    }
}
