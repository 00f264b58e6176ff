//! Known questions find the right passages of the real book. This test combines the parts as the chain does, with the
//! chain's settings, but as plain functions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{collections::HashSet, fs, path::Path};

use retrieval::{
    Finding, Size, Vector, best, chapters,
    index::{Index, Measure},
    passages,
    question::Question,
    rank, vector,
};
use serde::{Deserialize, de::DeserializeOwned};

/// `questions.toml`.
#[derive(Deserialize)]
struct Questions {
    question: Vec<Known>,
}

/// A question and the place of its answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    ask: String,
    chapter: String,
    finds: String,
}

#[derive(Clone)]
struct Passage {
    chapter: String,
    text: String,
}

/// The book with its index.
struct Library {
    passages: Vec<Passage>,
    index: Index,
    mark: String,
    candidates: usize,
}

impl Library {
    fn open() -> Self {
        let chain: toml::Table = read("chain.toml");
        let config = |chainlet: &str| chain["chainlets"][chainlet]["config"].clone();
        let number = |chainlet: &str, name: &str| -> usize { config(chainlet)[name].clone().try_into().unwrap() };
        let measure: Measure = config("index")["measure"].clone().try_into().unwrap();

        let size = Size { words: number("chunk", "words"), overlap: number("chunk", "overlap") };
        let book = text("data/pride-and-prejudice.txt");
        let found: Vec<Passage> = chapters(&book)
            .iter()
            .flat_map(|chapter| {
                let of_chapter = passages(chapter.text, size).into_iter();
                of_chapter.map(|text| Passage { chapter: chapter.title.to_owned(), text })
            })
            .collect();
        let vectors: Vec<Vector> = found.iter().map(|passage| vector(&passage.text)).collect();
        Self {
            passages: found,
            index: Index::new(&vectors, measure),
            mark: config("rank")["mark"].as_str().unwrap().to_owned(),
            candidates: number("search", "candidates"),
        }
    }

    fn ask(&self, text: &str) -> Vec<Finding<Passage>> {
        let question = Question::new(text, None).unwrap();
        let hits = self.index.search(&vector(&question.text), self.candidates);
        let hits: Vec<_> = hits.into_iter().map(|(number, score)| (self.passages[number].clone(), score)).collect();
        let rankings = hits.iter().map(|(passage, _)| rank(&question.text, &passage.text, &self.mark)).collect();
        best(hits, rankings, question.passages)
    }
}

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read<T: DeserializeOwned>(path: &str) -> T {
    toml::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn known_questions_find_the_right_passages() {
    let library = Library::open();
    let questions: Questions = read("tests/questions.toml");
    let mut missed = Vec::new();
    for Known { ask, chapter, finds } in &questions.question {
        let answer = library.ask(ask);
        let place = answer
            .iter()
            .position(|finding| finding.passage.chapter == *chapter && finding.passage.text.contains(finds));
        println!("{place:?} {ask}");
        if place.is_none() {
            let seen: Vec<_> = answer.iter().map(|one| format!("{}: {}", one.passage.chapter, one.snippet)).collect();
            missed.push(format!("{ask}\n  not found: {chapter}: {finds}\n  but: {}", seen.join("\n       ")));
        }
    }
    assert!(missed.is_empty(), "{} missed\n{}", missed.len(), missed.join("\n"));
    assert!(questions.question.len() >= 10, "the table has {} questions", questions.question.len());
}

#[test]
fn the_book_is_whole() {
    let book = text("data/pride-and-prejudice.txt");
    let chapters = chapters(&book);
    let titles: Vec<_> = chapters.iter().map(|chapter| chapter.title.to_owned()).collect();
    assert_eq!(titles, (1..=61).map(|number| format!("Chapter {number}")).collect::<Vec<_>>());
    assert!(chapters.iter().all(|chapter| chapter.text.split_whitespace().count() > 500));
    assert!((121_000..122_000).contains(&book.split_whitespace().count()));
}

#[test]
fn every_sentence_of_the_book_is_in_a_passage_of_bounded_length() {
    let library = Library::open();
    assert!((1000..2000).contains(&library.passages.len()), "{} passages", library.passages.len());
    let longest = library.passages.iter().map(|passage| passage.text.split_whitespace().count()).max();
    assert!(longest <= Some(200), "a passage has {longest:?} words");
    let words: HashSet<&str> = library.passages.iter().flat_map(|passage| passage.text.split_whitespace()).collect();
    let book = text("data/pride-and-prejudice.txt").replace('_', "");
    let headless = book.split_once("Chapter 1\n").unwrap().1;
    let lost: Vec<_> = headless
        .split_whitespace()
        .filter(|word| !words.contains(word) && *word != "*" && *word != "Chapter" && word.parse::<u8>().is_err())
        .collect();
    assert_eq!(lost, [""; 0]);
}

#[test]
fn a_question_about_another_subject_finds_nothing() {
    let library = Library::open();
    assert!(library.ask("What is the voltage of a transistor?").is_empty());
}
