//! Documents and their passages.

use std::path::Path;
use std::{fs, io};

/// A document of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The file's name without its extension.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A paragraph of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The name of the document.
    pub document: String,
    /// The number of the paragraph in its document, counted from 1.
    pub position: u32,
    /// The text, in one line.
    pub text: String,
}

/// Reads the Markdown files of `folder`, in the order of their names.
///
/// # Errors
///
/// Fails if the folder or a file in it cannot be read.
pub fn documents(folder: &Path) -> io::Result<Vec<Document>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok(Document { name, text: fs::read_to_string(path)? })
        })
        .collect()
}

/// Returns the paragraphs of a document. Blank lines separate them; headings are no passages.
#[must_use]
pub fn passages(document: &Document) -> Vec<Passage> {
    let mut paragraphs = vec![String::new()];
    for line in document.text.lines().map(str::trim) {
        match paragraphs.last_mut() {
            Some(paragraph) if !line.is_empty() && !line.starts_with('#') => {
                if !paragraph.is_empty() {
                    paragraph.push(' ');
                }
                paragraph.push_str(line);
            }
            _ => paragraphs.push(String::new()),
        }
    }
    let texts = paragraphs.into_iter().filter(|text| !text.is_empty());
    texts.zip(1..).map(|(text, position)| Passage { document: document.name.clone(), position, text }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_is_a_paragraph_in_one_line() {
        let document = Document {
            name: "loans".to_owned(),
            text: "# Loans\nA book\n is lent.\n\n\n## Fines\n\nNone.\n".to_owned(),
        };
        let passages = passages(&document);
        let seen: Vec<_> = passages.iter().map(|passage| (passage.position, passage.text.as_str())).collect();
        assert_eq!(seen, [(1, "A book is lent."), (2, "None.")]);
        assert!(passages.iter().all(|passage| passage.document == "loans"));
    }

    #[test]
    fn the_documents_of_the_example_have_passages() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../documents");
        let documents = documents(&folder).unwrap();
        assert!(documents.len() > 2);
        assert!(documents.iter().all(|document| !passages(document).is_empty()));
    }
}
